package mpegps

import (
	"reflect"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
)

// loasHeader is the length of what comes before an AudioMuxElement in an AudioSyncStream.
const loasHeader = 3

// readLOAS reads the head of an AudioSyncStream (ISO/IEC 14496-3 section 1.7.2).
func readLOAS(b []byte) (h audioHeader, ok bool) {
	if len(b) < loasHeader || b[0] != 0x56 || b[1]&0xe0 != 0xe0 {
		return h, false
	}
	h.size = loasHeader + (int(b[1]&0x1f)<<8 | int(b[2]))
	h.header = loasHeader
	return h, h.size > h.header
}

// latm is the state of AAC in LATM. It allocates: it is rare, and its payload is not aligned to bytes.
type latm struct {
	element mpeg4audio.AudioMuxElement
	config  *mpeg4audio.AudioSpecificConfig
}

// frames calls back with the access units of the first layer of an AudioMuxElement, each 1024 samples. It returns the sampling rate, 0 when the element cannot be read.
func (l *latm) frames(b []byte, emit func(unit []byte, c *mpeg4audio.AudioSpecificConfig)) int {
	l.element.MuxConfigPresent = true
	if err := l.element.Unmarshal(b); err != nil {
		l.element.StreamMuxConfig = nil // half of it may be new
		return 0
	}
	m := l.element.StreamMuxConfig
	if len(m.Programs) == 0 || len(m.Programs[0].Layers) == 0 || m.Programs[0].Layers[0].AudioSpecificConfig == nil {
		return 0
	}
	if c := m.Programs[0].Layers[0].AudioSpecificConfig; l.config == nil || !reflect.DeepEqual(*c, *l.config) {
		l.config = c
	}
	for _, sub := range l.element.Payloads {
		if len(sub) > 0 && len(sub[0]) > 0 && len(sub[0][0]) > 0 {
			emit(sub[0][0], l.config)
		}
	}
	return l.config.SampleRate
}

// emitLATM takes one AudioMuxElement apart.
func (s *stream) emitLATM(element []byte, at stamp) {
	n := media.Ticks(0)
	rate := s.audio.latm.frames(element, func(unit []byte, c *mpeg4audio.AudioSpecificConfig) {
		t := at
		if n > 0 {
			t = stamp{}
		}
		n++
		s.emitSound(unit, t, 1024, c.SampleRate, c)
	})
	if rate == 0 {
		s.d.stats.Damaged++
	}
}
