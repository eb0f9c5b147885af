package config

import "net/netip"

// Listener is one listening port that the configuration asks for.
type Listener struct {
	// Key is the key that holds the port.
	Key string
	// Port is that key's value; 0 is off.
	Port uint16
	// TLS says that connections begin with a TLS handshake.
	TLS bool
	// UDP says that the port is opened over UDP too; over TCP it always is.
	UDP bool
	// Addr is the address to bind: General.ListenIP and Port.
	Addr netip.AddrPort
}

// listenerKeys names the keys of all listeners, in the order of configuredListeners.
func listenerKeys() []string {
	return []string{"http.port", "http.sslport", "rtsp.port", "rtsp.sslport", "rtp_proxy.port"}
}

// configuredListeners returns every listener, the ones that are off included.
func (c *Config) configuredListeners() []Listener {
	list := []Listener{
		{Port: c.HTTP.Port},
		{Port: c.HTTP.SSLPort, TLS: true},
		{Port: c.RTSP.Port},
		{Port: c.RTSP.SSLPort, TLS: true},
		{Port: c.RTPProxy.Port, UDP: true},
	}
	for i, key := range listenerKeys() {
		list[i].Key = key
		list[i].Addr = netip.AddrPortFrom(c.General.ListenIP, list[i].Port)
	}
	return list
}

// listener returns the listener of that key; the key must be one of listenerKeys.
func (c *Config) listener(key string) Listener {
	for _, s := range c.configuredListeners() {
		if s.Key == key {
			return s
		}
	}
	return Listener{}
}

// Listeners returns the listeners to open: those with a port, and TLS ones only with a certificate.
func (c *Config) Listeners() []Listener {
	var open []Listener
	for _, s := range c.configuredListeners() {
		if s.Port != 0 && (!s.TLS || c.TLS.Enabled()) {
			open = append(open, s)
		}
	}
	return open
}
