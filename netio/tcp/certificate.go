package tcp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
)

// ErrNoCertificate is the handshake error of a TLS listener that has no certificate.
var ErrNoCertificate = errors.New("no TLS certificate is loaded: set tls.cert_file and tls.key_file")

// Certificate is the certificate of all TLS listeners. It can be replaced while they run: new handshakes use the new one.
type Certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// LoadPair reads a certificate chain and its private key from PEM files, without putting it to use.
func LoadPair(certFile, keyFile string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

// Use puts pair to use for new handshakes; nil takes the certificate away.
func (c *Certificate) Use(pair *tls.Certificate) { c.current.Store(pair) }

// Config returns the configuration of a TLS listener: TLS 1.2 or newer, this certificate, and the application protocols in nextProtos.
func (c *Certificate) Config(nextProtos ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: nextProtos,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if pair := c.current.Load(); pair != nil {
				return pair, nil
			}
			return nil, ErrNoCertificate
		},
	}
}
