package config

import (
	"fmt"
	"strings"
	"unicode"
)

// Credential is one account.
type Credential struct {
	User, Password string
}

// String returns the user with the password hidden, so that an account may be printed by accident.
func (c Credential) String() string { return c.User + ":" + redacted }

// Credentials is a list of accounts with distinct users.
type Credentials []Credential

// Password returns the password of user, and whether there is such an account.
func (l Credentials) Password(user string) (string, bool) {
	for _, c := range l {
		if c.User == user {
			return c.Password, true
		}
	}
	return "", false
}

// credentials reads user:password items separated by commas. Every key of this type is secret.
func credentials() codec[Credentials] {
	return codec[Credentials]{
		kind: "list of accounts", sep: ",", quoted: true,
		bounds: fmt.Sprintf("user:password, at most %d, separated by commas; no comma inside", maxListItems),
		parse:  parseCredentials,
		format: func(l Credentials) string {
			items := make([]string, len(l))
			for i, c := range l {
				items[i] = c.User + ":" + c.Password
			}
			return strings.Join(items, ",")
		},
	}
}

// parseCredentials never repeats an item in a flaw, because it may hold a password.
func parseCredentials(s string) (Credentials, *flaw) {
	items, f := splitList(s, ",")
	if f != nil {
		return nil, f
	}
	var list Credentials
	for i, item := range items {
		if f := printable(item); f != nil {
			return nil, f
		}
		user, password, ok := strings.Cut(item, ":")
		if !ok || user == "" || password == "" {
			return nil, &flaw{fmt.Sprintf("has an item %d that is not user:password", i+1), "write user:password, separated by commas"}
		}
		if _, twice := list.Password(user); twice {
			return nil, &flaw{fmt.Sprintf("names the user %q twice", user), "give each user one password"}
		}
		list = append(list, Credential{User: user, Password: password})
	}
	return list, nil
}

// printable refuses what could break a header, a log line or a file: control characters and broken UTF-8.
func printable(s string) *flaw {
	for _, r := range s {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return &flaw{"holds a character that cannot be printed", "use printable UTF-8 text on one line"}
		}
	}
	return nil
}
