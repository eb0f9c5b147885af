// Package camera is a small RTSP camera for `berth demo` and for tests: it serves one built-in clip, endlessly, under any number of paths, over UDP and
// interleaved TCP (RFC 2326). It runs on gortsplib's server, so that it is a peer which shares no code with berth's own RTSP server.
//
// The clip is 9.6 s of H.264 (640x360, 25 frames a second, a key frame each second, no B-frames, parameter sets in the SDP and in the stream) and AAC-LC
// (48 kHz, stereo). 240 pictures last exactly as long as 450 audio frames, and the tone completes whole periods in that time, so the clip
// continues without a seam: RTP sequence numbers and timestamps go on across the loop point as if the clip had no end. Both files were made by
//
//	ffmpeg -f lavfi -i testsrc2=size=640x360:rate=25:duration=9.6 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=9.8 \
//	  -map 0:v -c:v libx264 -preset veryslow -tune zerolatency -profile:v main -pix_fmt yuv420p -b:v 180k -maxrate 240k -bufsize 240k \
//	  -g 25 -bf 0 -threads 1 -x264-params scenecut=0:slices=1:aud=1 -fflags +bitexact -flags +bitexact -f h264 clip.h264 \
//	  -map 1:a -c:a aac -b:a 48k -ac 2 -flags +bitexact -f adts clip.aac
//
// The switches of [Camera] make it misbehave as cameras do: stall, drop its connections, change its tracks, refuse UDP or promise it and send nothing,
// redirect, ask for credentials. They may be used from any goroutine at any time.
//
// A camera runs one goroutine that plays the clip, beside those of gortsplib's server; Close waits for all of them.
package camera
