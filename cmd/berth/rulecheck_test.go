package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// cleanSources keep every house rule; each case of TestRulesCatchWhatTheyForbid adds or replaces files.
var cleanSources = map[string]string{
	"cmd/berth/doc.go":         "// Program berth.\npackage main\n",
	"cmd/berth/main.go":        "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(0) }\n",
	"config/doc.go":            "// Package config holds the keys.\npackage config\n",
	"media/doc.go":             "// Package media is pure.\npackage media\n",
	"media/hub/doc.go":         "// Package hub fans out.\npackage hub\n\nimport _ \"berth/media\"\n",
	"netio/rtsp/doc.go":        "// Package rtsp speaks RFC 2326.\npackage rtsp\n\nimport (\n\t_ \"berth/media/hub\"\n\t_ \"net\"\n)\n",
	"netio/camera/doc.go":      "// Package camera is a peer.\npackage camera\n",
	"actors/doc.go":            "// Package actors is the map.\npackage actors\n",
	"actors/stream/doc.go":     "// Package stream is one stream.\npackage stream\n\nimport _ \"berth/actors\"\n",
	"actors/streams/doc.go":    "// Package streams is the registry.\npackage streams\n\nimport _ \"berth/actors/stream\"\n",
	"actors/actortest/doc.go":  "// Package actortest is for tests.\npackage actortest\n",
	"actors/stream/in_test.go": "package stream\n\nimport (\n\t_ \"berth/actors/actortest\"\n\t_ \"berth/netio/camera\"\n)\n",
}

func TestRulesCatchWhatTheyForbid(t *testing.T) {
	for _, c := range []struct {
		name string
		add  map[string]string
		want []string // one part of each breach, in any order
	}{
		{"nothing", nil, nil},
		{"seventh folder", map[string]string{"pkg/x/doc.go": "// Package x.\npackage x\n"}, []string{"outside the folders cmd"}},
		{"unknown actor", map[string]string{"actors/zoo/doc.go": "// Package zoo.\npackage zoo\n"}, []string{"no place in the order of actors"}},
		{"unknown protocol", map[string]string{"netio/zoo/doc.go": "// Package zoo.\npackage zoo\n"}, []string{"no place in the order of netio"}},
		{"media opens sockets", map[string]string{"media/x.go": "package media\n\nimport _ \"net\"\n"}, []string{"media must not import net"}},
		{"media reads files", map[string]string{"media/x.go": "package media\n\nimport _ \"os/exec\"\n"}, []string{"media must not import os/exec"}},
		{"media may name addresses", map[string]string{"media/x.go": "package media\n\nimport _ \"net/netip\"\n"}, nil},
		{"media knows netio", map[string]string{"media/x.go": "package media\n\nimport _ \"berth/netio/rtsp\"\n"}, []string{"media must not import netio/rtsp"}},
		{"media logs", map[string]string{"media/x.go": "package media\n\nimport _ \"github.com/rs/zerolog\"\n"}, []string{"media must not import github.com/rs/zerolog"}},
		{"media against its order", map[string]string{"media/x.go": "package media\n\nimport _ \"berth/media/hub\"\n"}, []string{"it comes later in the order"}},
		{"netio knows actors", map[string]string{"netio/rtsp/x.go": "package rtsp\n\nimport _ \"berth/actors\"\n"}, []string{"netio must not import actors"}},
		{"netio knows configuration", map[string]string{"netio/rtsp/x.go": "package rtsp\n\nimport _ \"berth/config\"\n"}, []string{"netio must not import config"}},
		{"netio knows the actor library", map[string]string{"netio/rtsp/x.go": "package rtsp\n\nimport _ \"github.com/asynkron/protoactor-go/actor\"\n"}, []string{"netio must not import github.com/asynkron"}},
		{"two protocols meet", map[string]string{"netio/rtsp/x.go": "package rtsp\n\nimport _ \"berth/netio/camera\"\n"}, []string{"side by side"}},
		{"config knows us", map[string]string{"config/x.go": "package config\n\nimport _ \"berth/media\"\n"}, []string{"config must not import media"}},
		{"actors against their order", map[string]string{"actors/stream/x.go": "package stream\n\nimport _ \"berth/actors/streams\"\n"}, []string{"it comes later in the order"}},
		{"actors know koanf", map[string]string{"actors/stream/x.go": "package stream\n\nimport _ \"github.com/knadh/koanf/v2\"\n"}, []string{"actors must not import github.com/knadh"}},
		{"database outside the store", map[string]string{"actors/stream/x.go": "package stream\n\nimport _ \"go.etcd.io/bbolt\"\n"}, []string{"actors must not import go.etcd.io"}},
		{"actortest in the product", map[string]string{"actors/stream/x.go": "package stream\n\nimport _ \"berth/actors/actortest\"\n"}, []string{"imported by tests only"}},
		{"test library in the product", map[string]string{"actors/stream/x.go": "package stream\n\nimport _ \"github.com/stretchr/testify/require\"\n"}, []string{"actors must not import github.com/stretchr"}},
		{"cmd reaches inside", map[string]string{"cmd/berth/x.go": "package main\n\nimport _ \"berth/netio/rtsp\"\n"}, []string{"cmd must not import netio/rtsp"}},
		{"cmd may start the camera", map[string]string{"cmd/berth/x.go": "package main\n\nimport _ \"berth/netio/camera\"\n"}, nil},
		{"benchmarks imported", map[string]string{"actors/stream/x.go": "package stream\n\nimport _ \"berth/benchmarks\"\n"}, []string{"nobody imports benchmarks"}},
		{"cgo", map[string]string{"actors/stream/x.go": "package stream\n\nimport \"C\"\n"}, []string{"cgo"}},
		{"bag", map[string]string{"media/util/doc.go": "// Package util.\npackage util\n"}, []string{"a package named util", "no place in the order of media"}},
		{"no package comment", map[string]string{"config/doc.go": "package config\n"}, []string{"package comment in []"}},
		{"comment elsewhere", map[string]string{"config/x.go": "// Package config again.\npackage config\n"}, []string{"package comment in [doc.go x.go]"}},
		{"undocumented function", map[string]string{"config/x.go": "package config\n\nfunc Load() {}\n"}, []string{"Load has no doc"}},
		{"undocumented method", map[string]string{"config/x.go": "package config\n\n// T is one.\ntype T[K any] struct{}\n\nfunc (t *T[K]) Get() {}\n"}, []string{"Get has no doc"}},
		{"method of an unexported type", map[string]string{"config/x.go": "package config\n\ntype t struct{}\n\nfunc (t) Get() {}\n"}, nil},
		{"undocumented constant", map[string]string{"config/x.go": "package config\n\nconst (\n\tA = 1 // one\n\tB = 2\n)\n"}, []string{"B has no doc"}},
		{"undocumented type of a group", map[string]string{"config/x.go": "package config\n\n// Types.\ntype (\n\tA int\n\t// B is two.\n\tB int\n)\n"}, []string{"A has no doc"}},
		{"long file", map[string]string{"config/x.go": "package config\n" + strings.Repeat("\n", maxFileLines)}, []string{"601 lines"}},
		{"print", map[string]string{"config/x.go": "package config\n\nimport \"fmt\"\n\nfunc f() { fmt.Println(); println() }\n"}, []string{"fmt.Println", "println is a left-over"}},
		{"standard log", map[string]string{"config/x.go": "package config\n\nimport \"log\"\n\nfunc f() { log.Fatal() }\n"}, []string{"log.Fatal"}},
		{"exit", map[string]string{"cmd/berth/x.go": "package main\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n"}, []string{"os.Exit"}},
		{"exit under another name", map[string]string{"config/x.go": "package config\n\nimport sys \"os\"\n\nfunc f() { sys.Exit(1) }\n"}, []string{"os.Exit"}},
		{"sleep", map[string]string{"config/x_test.go": "package config\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n"}, []string{"time.Sleep"}},
		{"sleep in a bubble", map[string]string{"config/x_test.go": "package config\n\nimport (\n\t_ \"testing/synctest\"\n\t\"time\"\n)\n\nfunc f() { time.Sleep(1) }\n"}, nil},
		{"media starts a goroutine", map[string]string{"media/x.go": "package media\n\nfunc f() { go f() }\n"}, []string{"starts no goroutine"}},
		{"media reads the clock", map[string]string{"media/x.go": "package media\n\nimport \"time\"\n\nfunc f() { time.Now() }\n"}, []string{"reads no clock"}},
		{"request future", map[string]string{"actors/stream/x.go": "package stream\n\nfunc f(c interface{ RequestFuture() }) { c.RequestFuture() }\n"}, []string{"RequestFuture"}},
		{"init", map[string]string{"config/x.go": "package config\n\nfunc init() {}\n"}, []string{"init runs"}},
		{"package state", map[string]string{"config/x.go": "package config\n\nvar cache map[string]string\n"}, []string{"cache holds state"}},
		{"embedded file", map[string]string{"config/x.go": "package config\n\nimport _ \"embed\"\n\n//go:embed x.toml\nvar sample string\n"}, nil},
		{"long main", map[string]string{"cmd/berth/main.go": "package main\n" + strings.Repeat("\n", maxMainLines)}, []string{"81 lines"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sources := map[string]string{}
			for _, from := range []map[string]string{cleanSources, c.add} {
				for name, text := range from {
					sources[name] = text
				}
			}
			tree := parseTree(t, sources)
			var got []string
			for _, r := range houseRules {
				for _, b := range r.check(tree) {
					require.NotEmpty(t, b.do, "a breach must say what to do")
					got = append(got, b.String())
				}
			}
			require.Len(t, got, len(c.want), "%s", strings.Join(got, "\n"))
			for _, want := range c.want {
				require.Contains(t, strings.Join(got, "\n"), want)
			}
		})
	}
}
