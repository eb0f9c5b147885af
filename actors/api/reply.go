package api

import (
	"bytes"
	"encoding/json"
	"net/http"
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
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(reply); err != nil {
		panic("encode reply: " + err.Error())
	}
	return b.Bytes()
}
