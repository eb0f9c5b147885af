package supervisor

import (
	"io"
	"os"
	"sync/atomic"

	"github.com/rs/zerolog"

	"berth/config"
)

// logOutput is where the process's log goes: readable lines on a terminal, JSON elsewhere, unless log.format says otherwise. The form can change while it is used.
type logOutput struct {
	raw  io.Writer
	form atomic.Pointer[io.Writer]
}

func newLogOutput(raw io.Writer) *logOutput {
	if raw == nil {
		raw = os.Stderr
	}
	o := &logOutput{raw: raw}
	o.form.Store(&raw)
	return o
}

// Write writes one line.
func (o *logOutput) Write(line []byte) (int, error) { return (*o.form.Load()).Write(line) }

// setFormat puts log.format in force.
func (o *logOutput) setFormat(format config.LogFormat) {
	console := format == config.LogConsole
	if file, ok := o.raw.(*os.File); ok && format == config.LogAuto {
		info, err := file.Stat()
		console = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	out := o.raw
	if console {
		out = zerolog.ConsoleWriter{Out: o.raw, TimeFormat: "15:04:05.000"}
	}
	o.form.Store(&out)
}

// setLogLevel puts log.level in force, for every logger of the process.
func setLogLevel(cfg *config.Config) {
	level, err := zerolog.ParseLevel(string(cfg.Log.Level))
	if err != nil {
		level = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(level)
}
