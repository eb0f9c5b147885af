// Package annexb reads and writes the byte stream of H.264 and H.265 (ITU-T H.264 and H.265, annex B): NAL units behind start codes, as containers carry them.
//
// It is called by the demuxers and muxers (media/mpegps, media/mpegts) and by media/remux. All functions are pure, allocate nothing and take time in proportion to what they
// look at; whatever bytes they are given they never fail.
package annexb
