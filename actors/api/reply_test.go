package api

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSmallRepliesLookLikeAllOthers(t *testing.T) {
	flat := []object{
		{"code": 0},
		{"port": uint16(30000), "code": 0},
		{"hit": 1, "code": -500, "exist": true, "msg": "a <plain> & 'simple' text: none reserved port in pool / ~"},
		{"h": 8, "g": 7, "f": 6, "e": 5, "d": 4, "c": 3, "b": 2, "a": "", "": false}, // one too many
	}
	other := []object{
		{},
		{"msg": "quote \" and \\"},
		{"msg": "tab\t"},
		{"msg": "é"},
		{"msg": "\xff"},
		{"msg": "\u2028"},
		{"msg": "\x7f"},
		{"na\nme": 1},
		{"rate": 1.5},
		{"none": nil},
		{"list": []int{1}},
		{"data": object{"a": 1}},
		{"big": uint64(1) << 63},
	}
	for _, reply := range append(flat, other...) {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		e.SetIndent("", "\t")
		require.NoError(t, e.Encode(reply))
		require.Equal(t, want.String(), string(encode(reply)))
	}
	for _, reply := range flat[:3] {
		_, ok := appendFlat(nil, reply)
		require.True(t, ok, "%v", reply)
	}
	for _, reply := range other {
		_, ok := appendFlat(nil, reply)
		require.False(t, ok, "%v", reply)
	}
}
