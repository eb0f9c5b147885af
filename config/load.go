package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// Options says where Load takes values from; a later field wins over an earlier one.
type Options struct {
	// File is the configuration file, its format told by the extension: .toml, .yaml, .yml or .ini.
	// Empty means that there is none. It must be a regular file of at most 1 MiB.
	File string
	// Env is the environment as os.Environ gives it; only BERTH_ variables and those that decide the
	// default of state.dir are looked at. Nil means an empty environment.
	Env []string
	// Set holds key=value items of the command line; later ones win.
	Set []string
	// Overrides holds values set at run time, by key. As with ZLMediaKit's setServerConfig, keys that are
	// not served are skipped; Report.Skipped names them.
	Overrides map[string]string
	// DropBadOverrides leaves out overrides that do not validate, with a warning, instead of refusing the
	// configuration: for values read back from the store, which no operator can edit.
	DropBadOverrides bool
	// Running says that a server runs, with what was in the file before. A file that is empty now is refused then: it would give every key its default, and is rather a file that is
	// just being written, or one whose disk is full.
	Running bool
	// Root says that the process runs as root, for the default of state.dir.
	Root bool
}

// Report is what Load found worth telling beside the snapshot.
type Report struct {
	// Warnings do not keep the configuration from being used.
	Warnings []Fault
	// Skipped names the override keys that are not served, sorted.
	Skipped []string
	// Dropped names the overrides that were left out because of Options.DropBadOverrides, sorted.
	Dropped []string
}

// Lines returns the warnings, one line each.
func (r *Report) Lines() []string {
	lines := make([]string, len(r.Warnings))
	for i, w := range r.Warnings {
		lines[i] = w.String()
	}
	return lines
}

// Load reads all layers and returns the snapshot they make, or an [*InvalidError] with every fault of
// every layer. The report is never nil, also with an error. Load reads one file and writes nothing.
func Load(o Options) (*Config, *Report, error) {
	overrides := maps.Clone(o.Overrides)
	var dropped []Fault
	for {
		l := newLoader(o, overrides)
		c := l.run()
		if bad := l.badOverrides(); o.DropBadOverrides && len(bad) > 0 {
			for _, name := range bad {
				dropped = append(dropped, Fault{
					Origin: Origin{Layer: LayerOverride}, Key: name, Value: byName()[name].display(overrides[name]),
					Problem: "is left out: " + l.reason(name), Cure: "set it again through setServerConfig",
				})
				delete(overrides, name)
			}
			continue
		}
		r := &l.report
		r.Warnings = append(dropped, r.Warnings...)
		for _, f := range dropped {
			r.Dropped = append(r.Dropped, f.Key)
		}
		slices.Sort(r.Dropped)
		if len(l.faults) > 0 {
			slices.SortStableFunc(l.faults, func(a, b Fault) int {
				return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Line, b.Line))
			})
			return nil, r, &InvalidError{Faults: l.faults}
		}
		return c, r, nil
	}
}

// loader is the state of one pass over the layers.
type loader struct {
	options   Options
	overrides map[string]string
	report    Report
	faults    []Fault
	faulty    map[string]bool   // keys with a fault in any layer: rules that look at them are not judged
	broken    map[string]bool   // keys of rules that do not hold
	origins   map[string]Origin // of the highest layer so far
	unserved  []string          // ZLMediaKit's keys in an .ini that we do not serve
}

func newLoader(o Options, overrides map[string]string) *loader {
	return &loader{
		options: o, overrides: overrides, faulty: map[string]bool{}, broken: map[string]bool{}, origins: map[string]Origin{},
	}
}

// run takes the layers from the lowest to the highest into a fresh koanf, and the result into a snapshot.
func (l *loader) run() *Config {
	k := koanf.New(".")
	for _, layer := range []func() map[string]any{l.file, l.environment, l.flags, l.overrideLayer} {
		// Loading a flat map whose keys are all in the registry cannot fail.
		_ = k.Load(confmap.Provider(layer(), "."), nil)
	}
	c := Default()
	c.origins = l.origins
	for _, key := range registry() {
		if k.Exists(key.Name) {
			_ = key.assign(c, k.String(key.Name)) // was parsed once when its layer was read
		}
	}
	l.deriveStateDir(c)
	l.judge(c)
	return c
}

// file reads the configuration file into a layer.
func (l *loader) file() map[string]any {
	if l.options.File == "" {
		return map[string]any{}
	}
	return l.fileLayer(readFile(l.options.File, l.options.Running))
}

// fileLayer turns a parsed file into a layer.
func (l *loader) fileLayer(doc document) map[string]any {
	layer := map[string]any{}
	l.faults = append(l.faults, doc.faults...)
	for _, name := range slices.Sorted(maps.Keys(doc.values)) {
		o := Origin{Layer: LayerFile, File: l.options.File, Line: doc.lines[name]}
		if m, section := doc.values[name].(map[string]any); section && len(m) == 0 && isSection(name) {
			continue
		}
		key, ok := Lookup(name)
		switch {
		case ok:
			l.put(layer, key, doc.values[name], o)
		case doc.lenient:
			l.ignore(name, o)
		default:
			l.fault(o, name, "", unknownKey(name))
		}
	}
	if len(l.unserved) > 0 {
		l.warn(Origin{Layer: LayerFile, File: l.options.File}, "", "", &flaw{
			problem: "holds keys of ZLMediaKit that are not served yet and have no effect: " + strings.Join(l.unserved, ", "),
		})
	}
	return layer
}

// ignore takes note of a key in a config.ini that is not ours: all of ZLMediaKit's in one warning, but a
// name that ZLMediaKit does not know either is likely a mistake and gets its own.
func (l *loader) ignore(name string, o Origin) {
	if isUnserved(name) {
		l.unserved = append(l.unserved, name)
		return
	}
	l.warn(o, name, "", unknownKey(name))
}

// flags reads the --set items into a layer.
func (l *loader) flags() map[string]any {
	layer := map[string]any{}
	o := Origin{Layer: LayerFlag}
	for _, item := range l.options.Set {
		name, value, ok := strings.Cut(item, "=")
		name = strings.TrimSpace(name)
		key, known := Lookup(name)
		switch {
		case !ok:
			l.fault(o, name, "", &flaw{"has no value", "write --set section.key=value"})
		case !known:
			l.fault(o, name, "", unknownKey(name))
		default:
			l.put(layer, key, value, o)
		}
	}
	return layer
}

// overrideLayer reads the runtime overrides into a layer.
func (l *loader) overrideLayer() map[string]any {
	layer := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(l.overrides)) {
		if key, ok := Lookup(name); ok && !key.FileOnly {
			l.put(layer, key, l.overrides[name], Origin{Layer: LayerOverride})
		} else {
			l.report.Skipped = append(l.report.Skipped, name)
		}
	}
	return layer
}

// put validates one value and enters its canonical text into layer.
func (l *loader) put(layer map[string]any, key Key, value any, o Origin) {
	text, f := plainText(key, value)
	if f == nil {
		var scratch Config
		if f = key.assign(&scratch, text); f == nil {
			layer[key.Name] = key.text(&scratch)
			l.origins[key.Name] = o
			return
		}
	}
	l.fault(o, key.Name, key.display(text), f)
}

func (l *loader) fault(o Origin, key, value string, f *flaw) {
	l.faulty[key] = true
	l.faults = append(l.faults, Fault{Origin: o, Key: key, Value: value, Problem: f.problem, Cure: f.cure})
}

func (l *loader) warn(o Origin, key, value string, f *flaw) {
	l.report.Warnings = append(l.report.Warnings, Fault{Origin: o, Key: key, Value: value, Problem: f.problem, Cure: f.cure})
}

// badOverrides returns the overrides that are to blame for a fault, sorted: those that do not validate by
// themselves, and those in force that take part in a rule that does not hold.
func (l *loader) badOverrides() []string {
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(l.overrides)) {
		if l.overrideFault(name) != "" || (l.broken[name] && l.origins[name].Layer == LayerOverride) {
			bad = append(bad, name)
		}
	}
	return bad
}

// reason returns the problem that makes the override of name bad.
func (l *loader) reason(name string) string {
	if r := l.overrideFault(name); r != "" {
		return r
	}
	return "it contradicts another key"
}

// overrideFault returns the problem reported for the override itself; empty when there is none.
func (l *loader) overrideFault(name string) string {
	for _, f := range l.faults {
		if f.Key == name && f.Layer == LayerOverride {
			return f.Problem
		}
	}
	return ""
}
