package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"berth/actors/store"
)

func (p *program) secretCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Print the API secret of the server with this configuration",
		Long: `Print the API secret: api.secret when the configuration sets one, else the random one that the server made at its first start and keeps in
state.dir. Run it as the server's user and with the server's -c, --set and environment. A secret that was set at run time
(setServerConfig) is known to the server alone.`,
		RunE: func(*cobra.Command, []string) error { return p.secret() },
	}
}

func (p *program) secret() error {
	cfg, _, err := p.load()
	if err != nil {
		return err
	}
	secret := cfg.API.Secret
	if cfg.API.NeedsSecret() {
		if secret, err = store.ReadSecret(cfg.State.Dir); err != nil {
			return secretError(cfg.State.Dir, err)
		}
	}
	_, err = fmt.Fprintln(p.out, secret)
	return err
}

// secretError adds the cure to why the secret could not be read.
func secretError(dir string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("the API secret in %s is for the server's user only: run this as that user (%w)", dir, err)
	case errors.Is(err, store.ErrNoSecret):
		return fmt.Errorf("%w (is state.dir right? it is looked for in %s)", err, dir)
	}
	return fmt.Errorf("the API secret in %s cannot be read: %w", dir, err)
}
