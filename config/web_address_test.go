package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWebAddress(t *testing.T) {
	c := webAddress()
	for text, want := range map[string]string{
		"": "", " ": "", " http://h/hook ": "http://h/hook", "HTTPS://[::1]:8443/x?key=1": "HTTPS://[::1]:8443/x?key=1",
	} {
		got, flaw := c.parse(text)
		require.Nil(t, flaw, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"h", "/hook", "ftp://h/", "http://", "http:///x", "http://h/\nx", "http://%zz/", "http://h/" + strings.Repeat("x", maxWebAddress)} {
		_, flaw := c.parse(text)
		require.NotNil(t, flaw, text)
	}
}

func TestHookURL(t *testing.T) {
	h := Hook{OnPortPoolAlarm: "http://h/alarm"}
	require.Equal(t, "http://h/alarm", h.URL("on_port_pool_alarm"))
	require.Empty(t, h.URL("on_play"))
}
