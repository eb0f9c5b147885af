package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxArgs bounds the arguments of one call.
const maxArgs = 1000

// args are the arguments of one call, from query and body. Names are case-insensitive; the query wins over the body, and a later value over an
// earlier one of the same name in the same place.
type args struct {
	values map[string]arg // by lower-case name
	unread string         // why the body was not read; empty when it was
}

type arg struct{ name, value string }

// parseArgs reads the arguments of r, whose body is in memory already.
func parseArgs(r *http.Request) (args, error) {
	a := args{values: map[string]arg{}}
	if err := a.readBody(r); err != nil {
		return args{}, err
	}
	if err := a.readForm(r.URL.RawQuery, "the query string"); err != nil {
		return args{}, err
	}
	return a, nil
}

func (a *args) readBody(r *http.Request) error {
	if r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return invalid("the request body could not be read: %v", err)
	}
	if len(body) == 0 {
		return nil
	}
	header := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(header)
	if err != nil {
		kind, _, _ = strings.Cut(header, ";")
	}
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/x-www-form-urlencoded":
		return a.readForm(strings.TrimSpace(string(body)), "the form body")
	case "application/json":
		return a.readJSON(body)
	}
	// ZLMediaKit goes on with the query alone, and clients exist that send a body of another kind along.
	a.unread = fmt.Sprintf("the body was not read: its Content-Type is %q, not application/x-www-form-urlencoded or application/json", header)
	return nil
}

// readForm reads name=value pairs separated by '&'. Unlike net/url it takes ';' as an ordinary character, which camera URLs contain.
func (a *args) readForm(form, where string) error {
	for pair := range strings.SplitSeq(form, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return invalid("%s is not valid near %.40q: %v; write a literal %% as %%25", where, rawName, err)
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil { // the value itself may be a password
			return invalid("the value of %.40q in %s is not valid: a %% must be followed by two hex digits; write a literal %% as %%25", name, where)
		}
		if err := a.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// readJSON reads a flat object. ZLMediaKit drops nested values and whatever comes after them without a word; here they are an error.
func (a *args) readJSON(body []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return invalid("the JSON body is not valid: %v", err)
	}
	for name, raw := range fields {
		value, err := jsonText(raw)
		if err != nil {
			return invalid("argument %.40q: %v", name, err)
		}
		if err := a.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// jsonText is a JSON value as the text that a form would have carried.
func jsonText(raw json.RawMessage) (string, error) {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case '{', '[':
		return "", errors.New("a nested JSON value was given; write a string, number, truth value or null")
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case 'n':
		return "", nil
	}
	return string(raw), nil
}

func (a *args) set(name, value string) error {
	name = strings.TrimSpace(name)
	if name == "" {
		return nil
	}
	key := strings.ToLower(name)
	if _, known := a.values[key]; !known && len(a.values) >= maxArgs {
		return invalid("more than %d arguments", maxArgs)
	}
	a.values[key] = arg{name, value}
	return nil
}
