package rtspd

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// raw opens a connection without any client.
func (f *fixture) raw() net.Conn {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { conn.Close() })
	require.NoError(f.t, conn.SetReadDeadline(time.Now().Add(actortest.Wait)))
	return conn
}

// ask sends a request and returns the status of its answer, skipping frames before it. header is lines with their ends; it may bring a body along.
func (f *fixture) ask(conn net.Conn, method, path, header string) int {
	f.t.Helper()
	if !strings.Contains(header, "\r\n\r\n") {
		header += "\r\n"
	}
	_, err := io.WriteString(conn, method+" "+f.url(path)+" RTSP/1.0\r\nCSeq: 1\r\n"+header)
	require.NoError(f.t, err)
	// Unbuffered, byte by byte: what follows belongs to the next call.
	r := bufio.NewReaderSize(oneByte{conn}, 16)
	status, length := 0, 0
	for {
		line, err := r.ReadString('\n')
		require.NoError(f.t, err)
		line = strings.TrimSpace(line)
		if status == 0 {
			status, err = strconv.Atoi(strings.Fields(line)[1])
			require.NoError(f.t, err, line)
		}
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, err = strconv.Atoi(v)
			require.NoError(f.t, err)
		}
		if line == "" {
			break
		}
	}
	_, err = io.ReadFull(r, make([]byte, length))
	require.NoError(f.t, err)
	return status
}

type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

// session returns the PID of the i-th oldest session.
func (f *fixture) session(i int) *actor.PID {
	f.t.Helper()
	return actor.NewPID(f.pid.Address, f.pid.Id+"/session/"+f.list()[i].ID)
}

// selfSigned makes a certificate for loopback.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
