package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The secret and the server's id are files of their own, because the command line reads them while the server holds the database.
const (
	secretName   = "secret"
	serverIDName = "server-id"
	wordLength   = 32
	wordLetters  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// Secret returns the random API secret of a state directory and makes it, with the directory, when there is none: 32 letters and digits in the file
// `secret`, mode 0600. Safe to call from several processes at once; all get the same one.
func Secret(dir string) (string, error) { return keptWord(dir, secretName) }

// ServerID returns the random server id of a state directory, which stands for an empty general.mediaServerId, and makes it when there is none.
func ServerID(dir string) (string, error) { return keptWord(dir, serverIDName) }

// ReadSecret returns the random API secret of a state directory and changes nothing. ErrNoSecret means that there is none yet.
func ReadSecret(dir string) (string, error) {
	word, err := readWord(filepath.Join(dir, secretName))
	if err == nil && word == "" {
		err = fmt.Errorf("%s: %w", dir, ErrNoSecret)
	}
	return word, err
}

func keptWord(dir, name string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(dir, name)
	for range 3 {
		word, err := readWord(path)
		if err != nil || word != "" {
			return word, err
		}
		if err := makeWord(dir, path); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: changes while it is read", path)
}

// readWord returns "" when the file is missing or does not hold a word of ours.
func readWord(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	word := strings.TrimSpace(string(raw))
	if len(word) < wordLength || strings.Trim(word, wordLetters) != "" {
		return "", nil
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		// A secret that others can read is closed again; where that is not allowed, it is still the secret.
		_ = os.Chmod(path, 0o600)
	}
	return word, nil
}

// makeWord writes a new word under a temporary name and gives it its name only if there is none yet, or what is there is no word.
func makeWord(dir, path string) error {
	file, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	temp := file.Name()
	defer os.Remove(temp) //nolint:errcheck // gone after a rename
	if err := errors.Join(file.Close(), writeFileSynced(temp, []byte(randomWord()+"\n"))); err != nil {
		return err
	}
	err = os.Link(temp, path)
	switch {
	case err == nil:
		return syncDir(dir)
	case errors.Is(err, os.ErrExist):
		if word, err := readWord(path); err != nil || word != "" {
			return err // another process was faster
		}
	}
	// An unusable file, or a file system without hard links.
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

func randomWord() string {
	out := make([]byte, 0, wordLength)
	for len(out) < wordLength {
		var b [2 * wordLength]byte
		_, _ = rand.Read(b[:]) // never fails, by its contract
		for _, v := range b {
			// Even odds for every letter: what lies past the last whole multiple is thrown away.
			if int(v) < 256-256%len(wordLetters) && len(out) < wordLength {
				out = append(out, wordLetters[int(v)%len(wordLetters)])
			}
		}
	}
	return string(out)
}

func writeFileSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}
