package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// object is a JSON object under construction. Maps are written with sorted keys, as ZLMediaKit's replies have them.
type object = map[string]any

// withList sets name to list unless it is empty: ZLMediaKit's clients take an absent list for an empty one.
func withList[T any](reply object, name string, list []T) object {
	if len(list) > 0 {
		reply[name] = list
	}
	return reply
}

// write sends a reply: HTTP 200 whatever the code, unless the error names another status.
func write(w http.ResponseWriter, reply object, err *callError) []byte {
	if reply == nil {
		reply = object{}
	}
	status := http.StatusOK
	reply["code"] = codeSuccess
	if err != nil {
		for name, value := range err.extra {
			reply[name] = value
		}
		reply["code"], reply["msg"] = err.code, err.msg
		if err.status != 0 {
			status = err.status
		}
		if err.after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(err.after))
		}
	}
	body := encode(reply)
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left needs no reply
	return body
}

// encode lays a reply out with tabs. A value that JSON cannot hold is a fault of the handler.
func encode(reply object) []byte {
	if len(reply) <= flatFields {
		if b, ok := appendFlat(make([]byte, 0, flatBytes), reply); ok {
			return b
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(reply); err != nil {
		panic("encode reply: " + err.Error())
	}
	return b.Bytes()
}

// Bounds of the replies that appendFlat is for: a code, and a number or two.
const (
	flatFields = 8
	flatBytes  = 128
)

// appendFlat lays a small reply of plain values out just as encoding/json does, without reflection: platforms open and close receivers by the thousand a second. ok is false when the reply holds anything else.
func appendFlat(b []byte, reply object) (_ []byte, ok bool) {
	var names [flatFields]string
	n := 0
	for name := range reply {
		names[n] = name
		n++
	}
	sorted := names[:n]
	slices.Sort(sorted)
	for i, name := range sorted {
		b = append(b, ",\n\t"...)
		if i == 0 {
			b[len(b)-3] = '{'
		}
		if b, ok = appendPlain(b, name); !ok {
			return b, false
		}
		b = append(b, ": "...)
		switch v := reply[name].(type) {
		case int:
			b = strconv.AppendInt(b, int64(v), 10)
		case uint16:
			b = strconv.AppendUint(b, uint64(v), 10)
		case bool:
			b = strconv.AppendBool(b, v)
		case string:
			if b, ok = appendPlain(b, v); !ok {
				return b, false
			}
		default:
			return b, false
		}
	}
	return append(b, "\n}\n"...), n > 0
}

// appendPlain quotes a text in which nothing needs an escape.
func appendPlain(b []byte, text string) (_ []byte, ok bool) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return b, false
		}
	}
	return append(append(append(b, '"'), text...), '"'), true
}
