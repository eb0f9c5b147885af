package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// houseRule is one rule of CONTRIBUTING.md that a machine can hold.
type houseRule struct {
	name  string
	check func(*sourceTree) []breach
}

// houseRules are all of them, in the order in which a failure is best read.
var houseRules = []houseRule{
	{"folders", checkFolders},
	{"imports", checkImports},
	{"package names", checkNames},
	{"package comments", checkPackageComments},
	{"exported names are documented", checkExported},
	{"file length", checkLength},
	{"forbidden calls", checkCalls},
	{"media is pure", checkMediaPure},
	{"actor library traps", checkActorTraps},
	{"package state", checkPackageState},
	{"main is short", checkMain},
}

// bagNames are package names that say nothing and so end up holding everything.
var bagNames = []string{"util", "utils", "common", "helper", "helpers", "types", "base", "defs", "misc", "shared", "lib"}

func checkNames(t *sourceTree) []breach {
	var out []breach
	for folder, files := range t.folders() {
		for _, name := range []string{path.Base(folder), files[0].syntax.Name.Name} {
			if slices.Contains(bagNames, name) {
				out = append(out, breach{
					files[0].path, 0, fmt.Sprintf("a package named %s says nothing", name),
					"name it after the one concept it holds, or put each piece beside its user",
				})
				break
			}
		}
	}
	return out
}

func checkPackageComments(t *sourceTree) []breach {
	var out []breach
	for folder, files := range t.folders() {
		var with []string
		for _, f := range files {
			if !f.test && f.syntax.Doc != nil {
				with = append(with, path.Base(f.path))
			}
		}
		if !slices.Equal(with, []string{"doc.go"}) {
			out = append(out, breach{
				folder, 0, fmt.Sprintf("package comment in %v, wanted in doc.go and nowhere else", with),
				"write doc.go: purpose, RFC where one applies, who calls the package, goroutine rules",
			})
		}
	}
	return out
}

func checkExported(t *sourceTree) []breach {
	const do = "write a sentence: meaning, units, range, errors, source"
	var out []breach
	for _, f := range t.files {
		if f.test || f.syntax.Name.Name == "main" {
			continue
		}
		for _, decl := range f.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					out = append(out, t.at(f, d.Pos(), do, "%s has no doc comment", d.Name.Name))
				}
			case *ast.GenDecl:
				for _, name := range undocumented(d) {
					out = append(out, t.at(f, name.Pos(), do, "%s has no doc comment", name.Name))
				}
			}
		}
	}
	return out
}

// exportedReceiver reports whether a function is no method, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	of := d.Recv.List[0].Type
	for {
		switch x := of.(type) {
		case *ast.StarExpr:
			of = x.X
		case *ast.IndexExpr:
			of = x.X
		case *ast.IndexListExpr:
			of = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// undocumented returns the exported names of a declaration that neither it nor their own line documents.
func undocumented(d *ast.GenDecl) []*ast.Ident {
	var out []*ast.Ident
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && (d.Doc == nil || len(d.Specs) > 1) {
				out = append(out, s.Name)
			}
		case *ast.ValueSpec:
			if s.Doc != nil || s.Comment != nil || d.Doc != nil {
				continue
			}
			for _, name := range s.Names {
				if name.IsExported() {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// maxFileLines is where a file must be split; 70 to 200 is the rule, 400 a reason to look hard.
const maxFileLines = 600

func checkLength(t *sourceTree) []breach {
	var out []breach
	for _, f := range t.files {
		if !f.test && f.lines > maxFileLines {
			out = append(out, breach{
				f.path, 0, fmt.Sprintf("%d lines, at most %d", f.lines, maxFileLines),
				"split it where two things meet: type and loop, parse and build, state and actor",
			})
		}
	}
	return out
}

func checkCalls(t *sourceTree) []breach {
	var out []breach
	for _, f := range t.files {
		inCmd := under(f.folder, "cmd")
		f.calls(func(of, name string, call *ast.CallExpr) {
			switch {
			case of == "fmt" && strings.HasPrefix(name, "Print") && !f.test:
				out = append(out, t.at(f, call.Pos(), "log through the zerolog logger of the options; in cmd print to the command's writer", "fmt.%s writes to a stdout that is not ours", name))
			case of == "log" && name != "New" && !f.test: // net/http wants a *log.Logger, made over a writer of ours
				out = append(out, t.at(f, call.Pos(), "use the zerolog logger of the options", "log.%s bypasses the program's log", name))
			case of == "os" && name == "Exit" && !f.test && !(inCmd && path.Base(f.path) == "main.go"):
				out = append(out, t.at(f, call.Pos(), "return an error; main alone turns it into an exit code", "os.Exit skips every clean-up"))
			case of == "time" && name == "Sleep" && f.test && !f.importing("testing/synctest"):
				out = append(out, t.at(f, call.Pos(), "wait on a channel, poll with require.Eventually, or run in testing/synctest", "time.Sleep makes a test slow and still not sure"))
			}
		})
		if f.test || inCmd {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if fun, ok := call.Fun.(*ast.Ident); ok && (fun.Name == "print" || fun.Name == "println") {
					out = append(out, t.at(f, call.Pos(), "remove it, or log", "%s is a left-over of debugging", fun.Name))
				}
			}
			return true
		})
	}
	return out
}

// clockCalls read the clock or wait for it.
var clockCalls = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"}

func checkMediaPure(t *sourceTree) []breach {
	var out []breach
	for _, f := range t.files {
		if f.test || !under(f.folder, "media") {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				out = append(out, t.at(f, g.Pos(), "let the owner start it: netio or an actor", "media starts no goroutine"))
			}
			return true
		})
		f.calls(func(of, name string, call *ast.CallExpr) {
			if of == "time" && slices.Contains(clockCalls, name) {
				out = append(out, t.at(f, call.Pos(), "take now as an argument", "media reads no clock (time.%s)", name))
			}
		})
	}
	return out
}

// actorTraps are calls of the actor library that are not used, each with what to do instead.
var actorTraps = map[string]string{
	"RequestFuture":     "in an actor send and wait for the reply as a message; outside use actors.Ask",
	"SetReceiveTimeout": "arm one time.AfterFunc that posts a tick to self; the library's timer races with its own cancellation",
	"SendRepeatedly":    "arm one time.AfterFunc and arm it again when the tick arrives; the library's timer races with stop",
	"RequestRepeatedly": "arm one time.AfterFunc and arm it again when the tick arrives; the library's timer races with stop",
	"ReenterAfter":      "post the result to self with the incarnation; the callback would hold the old instance after a restart",
	"Stash":             "keep your own queue; the library replays only after a restart, backwards",
	"Bounded":           "bound the work, not the mailbox: a full one makes its senders spin",
	"BoundedDropping":   "bound the work, not the mailbox: this one loses messages silently and spins afterwards",
}

func checkActorTraps(t *sourceTree) []breach {
	var out []breach
	for _, f := range t.files {
		// actors.Ask is the one place that makes a request future, with a deadline and for callers that are no actors.
		if f.test || !under(f.folder, "actors") || f.path == "actors/ask.go" {
			continue
		}
		f.calls(func(_, name string, call *ast.CallExpr) {
			if do, ok := actorTraps[name]; ok {
				out = append(out, t.at(f, call.Pos(), do, "%s of the actor library is not used", name))
			}
		})
	}
	return out
}

func checkPackageState(t *sourceTree) []breach {
	var out []breach
	for _, f := range t.files {
		if f.test {
			continue
		}
		for _, decl := range f.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					out = append(out, t.at(f, d.Pos(), "do it in New, or behind sync.OnceValue", "init runs before anybody asked for it"))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					out = append(out, mutableVars(t, f, d)...)
				}
			}
		}
	}
	return out
}

// mutableVars finds package variables that begin empty and so can only be there to be written; //go:embed fills its own.
func mutableVars(t *sourceTree, f goFile, d *ast.GenDecl) []breach {
	var out []breach
	for _, spec := range d.Specs {
		s, ok := spec.(*ast.ValueSpec)
		if !ok || len(s.Values) > 0 || embedded(d.Doc) || embedded(s.Doc) {
			continue
		}
		for _, name := range s.Names {
			out = append(out, t.at(f, name.Pos(), "make it a field of the type that New returns", "package variable %s holds state", name.Name))
		}
	}
	return out
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// maxMainLines keeps main.go to what its name says.
const maxMainLines = 80

func checkMain(t *sourceTree) []breach {
	var out []breach
	for _, f := range t.files {
		if under(f.folder, "cmd") && path.Base(f.path) == "main.go" && f.lines > maxMainLines {
			out = append(out, breach{f.path, 0, fmt.Sprintf("%d lines, at most %d", f.lines, maxMainLines), "give each command its own file"})
		}
	}
	return out
}
