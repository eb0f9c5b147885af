package gb28181

import "berth/media"

// rtpView is an RTP packet with what it consists of. A packet without payload is valid: some devices keep address translations open with it.
type rtpView struct {
	media.RTP
	whole []byte
}

func viewRTP(pkt []byte) (v rtpView, ok bool) {
	v.RTP, ok = media.ParseRTP(pkt)
	v.whole = pkt
	return v, ok
}
