package config

import "fmt"

// Layer is where a value came from; a higher layer wins over a lower one.
type Layer uint8

const (
	// LayerDefault is the built-in default.
	LayerDefault Layer = iota
	// LayerFile is the configuration file.
	LayerFile
	// LayerEnv is an environment variable.
	LayerEnv
	// LayerFlag is --set on the command line.
	LayerFlag
	// LayerOverride is setServerConfig, kept in the store.
	LayerOverride
)

// String returns the layer's name: default, file, env, flag or override.
func (l Layer) String() string {
	switch l {
	case LayerDefault:
		return "default"
	case LayerFile:
		return "file"
	case LayerEnv:
		return "env"
	case LayerFlag:
		return "flag"
	case LayerOverride:
		return "override"
	}
	return "unknown"
}

// Origin is the exact place a value came from.
type Origin struct {
	Layer Layer
	// File is the configuration file's path as it was given; only with LayerFile.
	File string
	// Line counts from 1 in File; 0 means that the fault is the file's as a whole, or the line is not known.
	Line int
	// Var is the environment variable; only with LayerEnv.
	Var string
}

// String returns the origin as it begins a message: berth.toml:12, environment BERTH_LOG__LEVEL, --set,
// runtime override, or default.
func (o Origin) String() string {
	switch o.Layer {
	case LayerFile:
		if o.Line == 0 {
			return o.File
		}
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	case LayerEnv:
		return "environment " + o.Var
	case LayerFlag:
		return "--set"
	case LayerOverride:
		return "runtime override"
	default:
		return "default"
	}
}
