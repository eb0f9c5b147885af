package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// envPrefix begins every environment variable that sets a key: BERTH_SECTION__KEY.
const envPrefix = "BERTH_"

// programVariables are BERTH_ variables that are not keys: the client commands' and the tests'.
var programVariables = [...]string{
	"BERTH_URL", "BERTH_SECRET", "BERTH_CONFIG", "BERTH_LOG", "BERTH_INTEROP", "BERTH_UPDATE", "BERTH_SOAK",
}

// serviceVariable matches what Kubernetes and old Docker links put into the environment for a service
// whose name begins with berth; nobody wrote those, so they cannot be mistakes.
var serviceVariable = regexp.MustCompile(`^BERTH(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)$`)

// isServiceVariable also knows BERTH_PORT=tcp://10.0.0.1:8080, which only its value tells from a mistyped
// BERTH_HTTP__PORT.
func isServiceVariable(upper, value string) bool {
	if strings.Contains(upper, "__") {
		return false
	}
	link := strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://")
	return serviceVariable.MatchString(upper) || (link && strings.HasSuffix(upper, "_PORT"))
}

// environment reads the BERTH_ variables into a layer.
func (l *loader) environment() map[string]any {
	layer := map[string]any{}
	for _, item := range slices.Sorted(slices.Values(l.options.Env)) {
		name, value, _ := strings.Cut(item, "=")
		upper := strings.ToUpper(name)
		if !strings.HasPrefix(upper, envPrefix) || slices.Contains(programVariables[:], upper) {
			continue
		}
		o := Origin{Layer: LayerEnv, Var: name}
		key, ok := envKey(upper)
		switch {
		case ok && l.origins[key.Name].Layer == LayerEnv:
			l.fault(o, key.Name, key.display(value), &flaw{"is also set by " + l.origins[key.Name].Var, "keep one of the two variables"})
		case ok:
			l.put(layer, key, value, o)
		case isServiceVariable(upper, value):
		default:
			l.fault(o, "", "", unknownVariable(upper))
		}
	}
	return layer
}

// envKey finds the key that a variable's upper-case name stands for.
func envKey(upper string) (Key, bool) {
	for _, k := range registry() {
		if upper == EnvName(k.Name) {
			return k, true
		}
	}
	return Key{}, false
}

// EnvName returns the environment variable of a key: BERTH_RTP_PROXY__PORT_RANGE for rtp_proxy.port_range.
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.Replace(key, ".", "__", 1))
}

// unknownVariable suggests the nearest variable, a key's or the program's own.
func unknownVariable(upper string) *flaw {
	for _, name := range unservedNames() {
		if EnvName(name) == upper {
			return notServed(name)
		}
	}
	candidates := slices.Clone(programVariables[:])
	for _, k := range registry() {
		candidates = append(candidates, EnvName(k.Name))
	}
	cure := "unset it; `berth config` lists all keys"
	if near := nearest(upper, candidates); near != "" {
		cure = "did you mean " + near + "?"
	}
	return &flaw{"stands for no key", cure}
}

// deriveStateDir sets state.dir where no layer did: the directory that the service manager made, or else
// the usual place for this user.
func (l *loader) deriveStateDir(c *Config) {
	if c.State.Dir != "" || l.faulty["state.dir"] {
		return
	}
	env := map[string]string{}
	for _, item := range l.options.Env {
		name, value, _ := strings.Cut(item, "=")
		env[name] = value
	}
	// systemd separates several directories by colons.
	first, _, _ := strings.Cut(env["STATE_DIRECTORY"], ":")
	switch {
	case filepath.IsAbs(first):
		c.State.Dir = filepath.Clean(first)
	case l.options.Root:
		c.State.Dir = "/var/lib/berth"
	case filepath.IsAbs(env["XDG_STATE_HOME"]):
		c.State.Dir = filepath.Join(env["XDG_STATE_HOME"], "berth")
	case filepath.IsAbs(env["HOME"]):
		c.State.Dir = filepath.Join(env["HOME"], ".local", "state", "berth")
	default:
		l.fault(Origin{}, "state.dir", "", &flaw{
			"has no default here, because neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set",
			"set state.dir to a directory that the server may write",
		})
		return
	}
	if f := printable(c.State.Dir); f != nil {
		l.fault(Origin{}, "state.dir", c.State.Dir, f)
	}
	// The place it was derived from is a default, even if a layer had set the key to nothing.
	delete(l.origins, "state.dir")
}
