package pes

import (
	"reflect"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// LATM takes the AudioMuxElements of one stream apart (ISO/IEC 14496-3 section 1.7.3). It allocates: it is rare, and its payload is not aligned to bytes. The zero value is ready.
type LATM struct {
	element mpeg4audio.AudioMuxElement
	config  *mpeg4audio.AudioSpecificConfig
}

// Frames calls back with the access units of the first layer of an element, each of samples a channel, and returns the sampling rate; 0 when the element cannot be read, as before the first configuration.
// The configuration is the same pointer as long as the coding is the same.
func (l *LATM) Frames(b []byte, emit func(unit []byte, c *mpeg4audio.AudioSpecificConfig, samples int)) (rate int) {
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
	if l.config.SampleRate <= 0 {
		return 0
	}
	samples := 1024
	if l.config.FrameLengthFlag {
		samples = 960
	}
	for _, sub := range l.element.Payloads {
		if len(sub) > 0 && len(sub[0]) > 0 && len(sub[0][0]) > 0 {
			emit(sub[0][0], l.config, samples)
		}
	}
	return l.config.SampleRate
}
