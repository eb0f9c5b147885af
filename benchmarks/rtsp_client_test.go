//go:build linux

package benchmarks

import (
	"bufio"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"strings"
)

// dialogue is the client's side of an RTSP connection, with nothing that a benchmark does not need.
type dialogue struct {
	w       io.Writer
	r       *bufio.Reader
	url     string
	session string
	cseq    int
}

// ask makes a request that must succeed and returns the body of the response.
func (d *dialogue) ask(method, url, headers, body string) (string, error) {
	d.cseq++
	if d.session != "" {
		headers += "Session: " + d.session + "\r\n"
	}
	if body != "" {
		headers += "Content-Type: application/sdp\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	if _, err := fmt.Fprintf(d.w, "%s %s RTSP/1.0\r\nCSeq: %d\r\n%s\r\n%s", method, url, d.cseq, headers, body); err != nil {
		return "", err
	}
	text := textproto.NewReader(d.r)
	status, err := text.ReadLine()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(status, "RTSP/1.0 200 ") {
		return "", fmt.Errorf("%s %s: %s", method, url, status)
	}
	header, err := text.ReadMIMEHeader()
	if err != nil {
		return "", err
	}
	if s, _, _ := strings.Cut(header.Get("Session"), ";"); s != "" {
		d.session = s
	}
	size, _ := strconv.Atoi(header.Get("Content-Length"))
	content := make([]byte, size)
	_, err = io.ReadFull(d.r, content)
	return string(content), err
}

// controls returns the URLs of an SDP's media.
func (d *dialogue) controls(sdp string) []string {
	_, sdp, _ = strings.Cut(sdp, "m=")
	var out []string
	for line := range strings.Lines(sdp) {
		control, ok := strings.CutPrefix(strings.TrimSpace(line), "a=control:")
		switch {
		case !ok:
		case strings.Contains(control, "://"):
			out = append(out, control)
		default:
			out = append(out, d.url+"/"+control)
		}
	}
	return out
}
