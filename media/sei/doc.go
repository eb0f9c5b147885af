// Package sei reads supplemental enhancement information, whose messages H.264 (ITU-T H.264 section 7.3.2.3.1) and H.265 (ITU-T H.265 section 7.3.2.4) lay out alike. It is called by
// their packages, from any goroutine; nothing here keeps state.
package sei
