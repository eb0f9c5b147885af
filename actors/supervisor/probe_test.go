package supervisor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/config"
)

// certificate writes a self-signed certificate for name and its key.
func certificate(t *testing.T, name string, until time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return certFile, keyFile
}

// served returns the name in the certificate that a TLS listener shows, "" when the handshake fails.
func served(port int) string {
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // self-signed
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

var farAway = time.Now().AddDate(10, 0, 0)

// verdictKeys returns the keys of a verdict by name.
func verdictKeys(reply map[string]any) map[string]map[string]any {
	out := map[string]map[string]any{}
	data, _ := reply["data"].(map[string]any)
	list, _ := data["keys"].([]any)
	for _, item := range list {
		key := item.(map[string]any)
		out[fmt.Sprint(key["key"])] = key
	}
	return out
}

func TestADryRunProbesWhatAFullRestartWouldNeed(t *testing.T) {
	s := newServer(t, 20)
	s.start(faults{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	low, high := s.bounds()
	above := int(actortest.FreeRange(t, s.pairs+30).Low) + 2*s.pairs // not the server's, whether or not the search has found that one
	held := above + 4
	stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: held})
	require.NoError(t, err)
	defer stranger.Close()
	cert, key := certificate(t, "one.example", farAway)
	old, _ := certificate(t, "old.example", time.Unix(1000, 0))
	free := freePort(t)
	dir := filepath.Join(t.TempDir(), "not", "there")

	for name, c := range map[string]struct {
		set     map[string]string
		key     string
		note    string
		trouble bool
	}{
		"a port that is taken": {
			map[string]string{"http.port": fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)}, "http.port", "address already in use", true,
		},
		"a port that is free":  {map[string]string{"rtsp.port": fmt.Sprint(free)}, "rtsp.port", "can be opened for rtsp", false},
		"a port of our own":    {map[string]string{"http.port": "0", "rtsp.port": s.keys["http.port"]}, "rtsp.port", "own http listener", true},
		"an address elsewhere": {map[string]string{"pool.bind": `"192.0.2.1"`, "rtp_proxy.port_range": fmt.Sprintf(`"%d-%d"`, low, high+40)}, "pool.bind", "cannot assign", true},
		"a smaller range":      {map[string]string{"rtp_proxy.port_range": fmt.Sprintf(`"%d-%d"`, low, high-2)}, "rtp_proxy.port_range", "in the range in force", false},
		"a range of which one pair is held": {
			map[string]string{"rtp_proxy.port_range": fmt.Sprintf(`"%d-%d"`, above, above+35)}, "rtp_proxy.port_range", strconv.Itoa(held), false,
		},
		"TLS switched on":             {map[string]string{"tls.cert_file": strconv.Quote(cert), "tls.key_file": strconv.Quote(key)}, "tls.cert_file", "one.example, valid until", false},
		"a directory to be made":      {map[string]string{"state.dir": strconv.Quote(dir)}, "state.dir", "can be made", false},
		"a directory in no directory": {map[string]string{"state.dir": strconv.Quote(filepath.Join(cert, "state"))}, "state.dir", "not a directory", true},
		"a key without a probe":       {map[string]string{"log.level": `"error"`}, "log.level", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			keys := s.keys
			s.keys = map[string]string{}
			for k, v := range keys {
				s.keys[k] = v
			}
			for k, v := range c.set {
				s.keys[k] = v
			}
			s.write()
			reply := s.call("reloadConfig", "dry_run", "1")
			s.keys = keys
			require.EqualValues(t, 0, reply["code"], "%v", reply)
			found := verdictKeys(reply)[c.key]
			require.Contains(t, found["note"], c.note, "%v", reply)
			require.Equal(t, c.trouble, found["trouble"], "%v", found)
			if c.note == "" {
				require.Empty(t, found["note"])
			}
		})
	}
	s.write()
	require.NoDirExists(t, dir)
	require.Empty(t, s.held(), "a probe leaves nothing open")
	probe, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", free))
	require.NoError(t, err)
	require.NoError(t, probe.Close())
	require.Empty(t, verdictKeys(s.call("reloadConfig")))

	b := &prober{next: config.Default(), now: time.Now(), changed: map[string]bool{"tls.cert_file": true}}
	b.next.TLS = config.TLS{CertFile: old, KeyFile: filepath.Join(filepath.Dir(old), "key.pem")}
	b.certificate()
	require.Len(t, b.found, 1)
	require.True(t, b.found[0].Trouble)
	require.Contains(t, b.found[0].Note, "expired on 1970-01-01")
}
