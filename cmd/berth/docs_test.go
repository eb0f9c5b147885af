package main

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pages returns every Markdown page of the repository, path to text.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../benchmarks/results/*.md"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			out[name] = string(text)
		}
	}
	require.Contains(t, out, "../../README.md")
	return out
}

// linkTarget matches the target of a Markdown link.
var linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksInTheDocsLeadSomewhere(t *testing.T) {
	for page, text := range pages(t) {
		for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
			to, err := url.Parse(m[1])
			require.NoError(t, err, "%s: link %s", page, m[1])
			if to.Scheme != "" || to.Path == "" {
				continue
			}
			_, err = os.Stat(filepath.Join(filepath.Dir(page), to.Path))
			require.NoError(t, err, "%s: link to %s, which is not there", page, m[1])
		}
	}
}

// commandLine matches a command line of ours in code: in a fence, or between backquotes.
var commandLine = regexp.MustCompile("(?m)(?:^|[`(])(?:go run \\./cmd/)?berth((?: +[^`|>)\\n#]+)?)")

func TestCommandsInTheDocsExist(t *testing.T) {
	seen := 0
	for page, text := range pages(t) {
		for _, line := range commandLines(text) {
			seen++
			p := &program{out: io.Discard, errOut: io.Discard}
			command, rest, err := p.command().Find(strings.Fields(line))
			require.NoError(t, err, "%s: berth %s", page, line)
			require.NoError(t, command.ParseFlags(rest), "%s: berth %s", page, line)
			if strings.Contains(line, " ") { // a command's bare name is a mention of it, not a line to type
				require.NoError(t, command.ValidateArgs(command.Flags().Args()), "%s: berth %s", page, line)
			}
		}
	}
	require.Greater(t, seen, 10, "the docs name more commands than that: the search for them is broken")
}

// commandLines returns the arguments of every command of ours in the code of a page.
func commandLines(text string) []string {
	var out []string
	fenced := false
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = strings.HasPrefix(line, "```sh")
			continue
		}
		code := []string{line}
		if !fenced {
			code = betweenBackquotes(line)
		}
		for _, piece := range code {
			for _, m := range commandLine.FindAllStringSubmatch(piece, -1) {
				out = append(out, strings.TrimSpace(m[1]))
			}
		}
	}
	return out
}

func betweenBackquotes(line string) []string {
	var out []string
	for i, piece := range strings.Split(line, "`") {
		if i%2 == 1 && strings.HasPrefix(piece+" ", "berth ") || strings.HasPrefix(piece, "go run ./cmd/berth") {
			out = append(out, piece)
		}
	}
	return out
}

func TestCommandLinesAreFound(t *testing.T) {
	text := "Run `berth check -c x.toml` or\n\n```sh\ngo run ./cmd/berth demo  # see\nberth config > berth.toml\ncurl -d secret=$(berth secret) x\n```\n\n```text\nberth nothing\n```\n"
	require.Equal(t, []string{"check -c x.toml", "demo", "config", "secret"}, commandLines(text))
}
