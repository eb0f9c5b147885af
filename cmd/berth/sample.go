package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"berth/config"
)

func (p *program) configCommand() *cobra.Command {
	format := "toml"
	c := &cobra.Command{
		Use:   "config",
		Short: "Print a sample configuration with every key explained",
		Long: `Print every key with its meaning, type, unit, bounds, default and when a change takes effect: as a TOML file that may be used
as it is, or as the Markdown page docs/configuration.md.`,
		RunE: func(*cobra.Command, []string) error {
			var text string
			switch format {
			case "toml":
				text = config.Sample()
			case "markdown":
				text = config.Markdown()
			default:
				return usageError(fmt.Errorf("--format %q: there are toml and markdown", format))
			}
			_, err := io.WriteString(p.out, text)
			return err
		},
	}
	c.Flags().StringVar(&format, "format", format, "toml or markdown")
	return c
}
