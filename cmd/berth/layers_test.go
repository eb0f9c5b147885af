package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// layer says what the packages of one folder may import. The longest folder that matches a package counts, alone.
type layer struct {
	folder  string   // the folder, with all below it
	ours    []string // folders of ours, with all below them
	outside []string // modules or folders of modules
	tests   []string // what its test files may import of ours beyond that
	noStd   []string // standard packages that are forbidden, with all below them
	why     string
}

// Libraries that several layers may use.
const (
	gortsplibLib   = "github.com/bluenviron/gortsplib/v5"
	mediacommonLib = "github.com/bluenviron/mediacommon/v2"
	protoactorLib  = "github.com/asynkron/protoactor-go"
	zerologLib     = "github.com/rs/zerolog"
	pionLib        = "github.com/pion"
)

// testLibraries may be imported by every test file.
var testLibraries = []string{
	"github.com/stretchr/testify", "go.uber.org/goleak", "pgregory.net/rapid",
	gortsplibLib, mediacommonLib, pionLib, zerologLib, "golang.org/x/sys",
}

// actorLibraries may be imported by every actor package.
var actorLibraries = []string{protoactorLib, zerologLib, gortsplibLib, mediacommonLib, pionLib, "golang.org/x/time", "golang.org/x/sys"}

// layers is the import table. It is what keeps packets off mailboxes: media and netio cannot name a PID.
var layers = []layer{
	{
		folder: "media", ours: []string{"media"},
		outside: []string{pionLib + "/rtp", pionLib + "/rtcp", pionLib + "/sdp", mediacommonLib, gortsplibLib + "/pkg/format", gortsplibLib + "/pkg/description"},
		noStd:   []string{"net", "os", "log", "syscall"},
		why:     "media is pure: no socket, no file, no log, no actor; whoever reads the network calls it",
	},
	{
		folder: "netio", ours: []string{"media", "netio"},
		outside: []string{gortsplibLib, mediacommonLib, pionLib, zerologLib, "golang.org/x/net", "golang.org/x/sys"},
		why:     "netio takes plain options and calls functions it was given; the actor that owns a socket translates configuration and events",
	},
	{
		folder:  "config",
		outside: []string{"github.com/knadh/koanf", "gopkg.in/ini.v1", "go.yaml.in/yaml", "github.com/pelletier/go-toml"},
		why:     "config is a leaf, so that everybody may import it",
	},
	{
		folder: "actors", ours: []string{"actors", "config", "media", "netio"}, outside: actorLibraries,
		tests: []string{"actors/actortest"},
		why:   "actors decide; formats, files and metrics have one package each that knows their library",
	},
	{
		folder: "actors/store", ours: []string{"actors", "config", "media", "netio"},
		outside: append([]string{"go.etcd.io/bbolt"}, actorLibraries...), tests: []string{"actors/actortest"},
		why: "the store alone knows the database",
	},
	{
		folder: "actors/api", ours: []string{"actors", "config", "media", "netio"},
		outside: append([]string{"github.com/prometheus"}, actorLibraries...), tests: []string{"actors/actortest"},
		why: "the api serves the metrics",
	},
	{
		folder: "actors/supervisor", ours: []string{"actors", "config", "media", "netio"},
		outside: append([]string{"github.com/prometheus", "github.com/coreos/go-systemd"}, actorLibraries...), tests: []string{"actors/actortest"},
		why: "the supervisor puts everything together",
	},
	{
		folder: "actors/actortest", ours: []string{"actors", "config", "media", "netio"},
		outside: append(slices.Clone(testLibraries), actorLibraries...),
		why:     "actortest is imported by tests only, so it may use their libraries",
	},
	{
		// The camera of `berth demo` is a device beside the server, not a part of it: it is a peer on loopback, built on another
		// project's RTSP server, and the server reaches it through its own HTTP API like any camera. So cmd may start it.
		// The checks of the host and the arithmetic of port ranges are pure: `berth doctor` and `berth ports plan` need no server.
		folder: "cmd", ours: []string{"config", "actors/supervisor", "actors/store", "netio/camera", "netio/hostcheck", "netio/ports"},
		outside: []string{"github.com/spf13/cobra", zerologLib},
		why:     "the program reads flags and starts the supervisor; what a command needs from a running server it asks the API for",
	},
	{
		folder: "benchmarks", ours: []string{"actors", "config", "media", "netio"},
		outside: append(slices.Clone(testLibraries), protoactorLib, "golang.org/x"),
		why:     "benchmarks may look at everything",
	},
}

// mediaOrder: a package of media may import those of an earlier row. Root media comes first.
var mediaOrder = [][]string{
	{"media", "media/sei"},
	{"media/rtpseq", "media/rtcpstat", "media/h264", "media/h265", "media/aac", "media/opus", "media/g711"},
	{"media/annexb", "media/pes"},
	{"media/sdp", "media/flv", "media/mpegts", "media/mpegps", "media/fmp4", "media/slab"},
	{"media/remux"},
	{"media/gop"},
	{"media/hub"},
}

// actorOrder: an actor package may import those of an earlier row. Packages of one row (the protocol front ends) never import each other.
var actorOrder = [][]string{
	{"actors"},
	{"actors/portpool"},
	{"actors/hook"},
	{"actors/store"},
	{"actors/stream"},
	{"actors/streams"},
	{"actors/rtspd", "actors/rtmpd", "actors/flvd", "actors/hlsd", "actors/webrtcd"},
	{"actors/receiver"},
	{"actors/sender"},
	{"actors/proxy"},
	{"actors/observe"},
	{"actors/reload"},
	{"actors/api"},
	{"actors/supervisor"},
}

// netioOrder: below the protocols lie the packages that know sockets but no protocol. The protocols stand in one row: none imports another.
var netioOrder = [][]string{
	{"netio/ports"},
	{"netio/udp", "netio/tcp", "netio/hostcheck"},
	{"netio/fanout"},
	{
		"netio/rtsp", "netio/rtmp", "netio/httpd", "netio/httpflv", "netio/hls", "netio/webrtc", "netio/gb28181",
		"netio/console", "netio/camera",
	},
}

// layerOf returns the table's row for a folder.
func layerOf(folder string) (layer, bool) {
	var best layer
	for _, l := range layers {
		if under(folder, l.folder) && len(l.folder) > len(best.folder) {
			best = l
		}
	}
	return best, best.folder != ""
}

// standard reports whether an import is of the standard library: its first element has no dot, and it is not ours.
func standard(of string) bool {
	first, _, _ := strings.Cut(of, "/")
	return !strings.Contains(first, ".") && first != module
}

func anyUnder(of string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return under(of, root) })
}

// checkImports holds every import against the table.
func checkImports(t *sourceTree) []breach {
	var out []breach
	for _, f := range t.files {
		l, ok := layerOf(f.folder)
		if !ok {
			continue // checkFolders says so, once a folder
		}
		for _, im := range f.imports {
			if what := l.refuses(f, im.path); what != "" {
				out = append(out, breach{f.path, im.line, what, "move the code or pass what it needs in its options; " + l.why})
			}
		}
	}
	return out
}

// refuses says what is wrong with an import of f, or nothing.
func (l layer) refuses(f goFile, of string) string {
	switch {
	case of == "C":
		return "cgo is not used here"
	case standard(of):
		if of != "net/netip" && of != "net/url" && !f.test && anyUnder(of, l.noStd) {
			return fmt.Sprintf("%s must not import %s", l.folder, of)
		}
		return ""
	case !under(of, module):
		if anyUnder(of, l.outside) || f.test && anyUnder(of, testLibraries) {
			return ""
		}
		return fmt.Sprintf("%s must not import %s", l.folder, of)
	}
	ours := strings.TrimPrefix(of, module+"/")
	switch {
	case ours == f.folder: // an external test of the package itself
		return ""
	case under(ours, "benchmarks"):
		return "nobody imports benchmarks"
	case under(ours, "actors/actortest"):
		if f.test || f.folder == "actors/actortest" || f.folder == "benchmarks" {
			return ""
		}
		return "actortest is imported by tests only"
	case f.test && ours == "netio/camera" && !under(f.folder, "media"), f.test && anyUnder(ours, l.tests):
		return "" // the camera is the peer that is not our own server
	case anyUnder(ours, l.ours):
		return outOfOrder(f.folder, ours)
	}
	return fmt.Sprintf("%s must not import %s", l.folder, ours)
}

// outOfOrder says why folder may not import ours although its layer may: it stands to the right of it, or beside it.
func outOfOrder(folder, ours string) string {
	for _, order := range [][][]string{mediaOrder, actorOrder, netioOrder} {
		from, to := rank(order, folder), rank(order, ours)
		if from < 0 || to < 0 || to < from {
			continue
		}
		if from == to {
			return fmt.Sprintf("%s must not import %s: they stand side by side and meet in a lower package", folder, ours)
		}
		return fmt.Sprintf("%s must not import %s: it comes later in the order of its layer", folder, ours)
	}
	return ""
}

// rank is the row of a folder in an order, or -1.
func rank(order [][]string, folder string) int {
	return slices.IndexFunc(order, func(row []string) bool { return slices.Contains(row, folder) })
}

// checkFolders finds packages that the tables do not know.
func checkFolders(t *sourceTree) []breach {
	var out []breach
	for folder, files := range t.folders() {
		if _, ok := layerOf(folder); !ok {
			out = append(out, breach{
				files[0].path, 0, "a Go package outside the folders cmd, config, media, netio, actors and benchmarks",
				"put it into one of them; a new top-level folder needs a row in layers and a reason",
			})
			continue
		}
		for root, order := range map[string][][]string{"media": mediaOrder, "actors": actorOrder, "netio": netioOrder} {
			if under(folder, root) && folder != "netio" && folder != "actors/actortest" && rank(order, folder) < 0 {
				out = append(out, breach{
					files[0].path, 0, fmt.Sprintf("package %s has no place in the order of %s", folder, root),
					fmt.Sprintf("add it to %sOrder in cmd/berth/layers_test.go, as low as it can stand", strings.TrimSuffix(root, "s")),
				})
			}
		}
	}
	return out
}

func TestHouseRules(t *testing.T) {
	tree := readTree(t, "../..")
	for _, r := range houseRules {
		t.Run(r.name, func(t *testing.T) {
			for _, b := range r.check(tree) {
				t.Error(b)
			}
		})
	}
}
