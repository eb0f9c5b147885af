package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the module path in go.mod; imports that begin with it are ours.
const module = "berth"

// goFile is one parsed Go file of the tree.
type goFile struct {
	path    string // from the repository's root, with slashes
	folder  string // of path; the package's import path without the module
	test    bool   // ends in _test.go
	lines   int
	syntax  *ast.File
	imports []importOf
}

// importOf is one import of a file.
type importOf struct {
	path string // as imported
	name string // what the file calls it: its alias, or else the path's last element
	line int
}

// sourceTree is everything the house rules look at.
type sourceTree struct {
	fset  *token.FileSet
	files []goFile // in path order
}

// breach is one place where a house rule is not kept.
type breach struct {
	path string
	line int // 0 when it is not about a line
	what string
	do   string // the cure
}

func (b breach) String() string {
	place := b.path
	if b.line > 0 {
		place = fmt.Sprintf("%s:%d", b.path, b.line)
	}
	return fmt.Sprintf("%s: %s\n    do: %s", place, b.what, b.do)
}

// readTree parses every Go file below root, but for hidden folders and testdata.
func readTree(t *testing.T, root string) *sourceTree {
	t.Helper()
	sources := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		sources[filepath.ToSlash(rel)] = string(text)
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, sources, "no Go file below %s: the rules would hold for nothing", root)
	return parseTree(t, sources)
}

// parseTree makes a tree of sources, path to text.
func parseTree(t *testing.T, sources map[string]string) *sourceTree {
	t.Helper()
	tree := &sourceTree{fset: token.NewFileSet()}
	for name, text := range sources {
		syntax, err := parser.ParseFile(tree.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		file := goFile{
			path: name, folder: path.Dir(name), syntax: syntax,
			test: strings.HasSuffix(name, "_test.go"), lines: strings.Count(text, "\n"),
		}
		for _, spec := range syntax.Imports {
			of, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			called := path.Base(of)
			if spec.Name != nil {
				called = spec.Name.Name
			}
			file.imports = append(file.imports, importOf{path: of, name: called, line: tree.line(spec.Pos())})
		}
		tree.files = append(tree.files, file)
	}
	sort.Slice(tree.files, func(i, j int) bool { return tree.files[i].path < tree.files[j].path })
	return tree
}

func (t *sourceTree) line(pos token.Pos) int { return t.fset.Position(pos).Line }

// at makes a breach of the place pos in f.
func (t *sourceTree) at(f goFile, pos token.Pos, do, what string, args ...any) breach {
	return breach{path: f.path, line: t.line(pos), what: fmt.Sprintf(what, args...), do: do}
}

// folders groups the files by folder; test packages (package x_test) count with the folder they lie in.
func (t *sourceTree) folders() map[string][]goFile {
	by := map[string][]goFile{}
	for _, f := range t.files {
		by[f.folder] = append(by[f.folder], f)
	}
	return by
}

// calls returns the calls pkg.name(...) in f, by the import path of pkg; a name that f shadows is not told apart.
func (f goFile) calls(visit func(importPath, name string, call *ast.CallExpr)) {
	byName := map[string]string{}
	for _, im := range f.imports {
		byName[im.name] = im.path
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok {
			visit(byName[x.Name], sel.Sel.Name, call)
		} else {
			visit("", sel.Sel.Name, call)
		}
		return true
	})
}

// importing reports whether f imports that path.
func (f goFile) importing(of string) bool {
	for _, im := range f.imports {
		if im.path == of {
			return true
		}
	}
	return false
}

// under reports whether folder is root or lies below it.
func under(folder, root string) bool { return folder == root || strings.HasPrefix(folder, root+"/") }
