package config

import (
	"slices"
	"strings"
	"sync"
)

// unservedSections lists the keys of ZLMediaKit that this version does not serve, by section. A key that
// gets served moves from here to the registry; a test keeps the two apart.
func unservedSections() map[string]string {
	return map[string]string{
		"api":    "snapRoot defaultSnap downloadRoot",
		"ffmpeg": "bin cmd snap log restart_sec",
		"protocol": "modify_stamp add_mute_audio paced_sender_ms enable_hls enable_hls_fmp4 enable_mp4 enable_rtsp enable_rtmp " +
			"enable_ts enable_fmp4 mp4_as_player mp4_max_second mp4_save_path hls_save_path hls_demand rtsp_demand rtmp_demand " +
			"ts_demand fmp4_demand",
		"general": "flowThreshold resetWhenRePlay broadcast_player_count_changed check_nvidia_dev enable_ffmpeg_log",
		"hls":     "fileBufSize segDur segNum segDelay segRetain broadcastRecordTs deleteDelaySec segKeep fastRegister fmp4SegExt",
		"hook": "on_flow_report on_http_access on_play on_publish on_record_mp4 on_record_ts on_rtsp_auth on_rtsp_realm " +
			"on_shell_login on_stream_changed on_stream_none_reader on_stream_not_found " +
			"on_server_exited on_server_started on_server_keepalive stream_changed_schemas alive_interval",
		"cluster":   "origin_url timeout_sec retry_count",
		"http":      "charSet maxUploadSize notFound rootPath sendBufSize dirMenu virtualPath forbidCacheSuffix forwarded_ip_header",
		"multicast": "addrMin addrMax udpTTL",
		"record":    "appName fileBufSize sampleMS fastStart fileRepeat enableFmp4",
		"rtmp":      "handshakeSecond keepAliveSecond port sslport directProxy enhanced",
		"rtp":       "rtpMaxSize lowLatency h264_stap_a",
		"rtp_proxy": "dumpDir gop_cache merge_frame",
		"rtc": "port tcpPort icePort iceTcpPort signalingPort signalingSslPort port_range enableTurn iceUfrag icePwd " +
			"iceTransportPolicy timeoutSec externIP interfaces rembBitRate start_bitrate max_bitrate min_bitrate preferredCodecA " +
			"preferredCodecV maxRtpCacheMS maxRtpCacheSize nackMaxSize nackMaxMS nackMaxCount nackIntervalRatio nackRtpSize " +
			"nackAudioRtpSize max_stun_retry datachannel_echo bfilter preferred_tcp",
		"srt":    "timeoutSec port latencyMul pktBufSize passPhrase",
		"rtsp":   "directProxy lowLatency",
		"shell":  "maxReqSize port",
		"onvif":  "port",
		"python": "plugin",
	}
}

// unservedNames returns the full names, sorted. The slice is built once and shared.
var unservedNames = sync.OnceValue(func() []string {
	var names []string
	for section, keys := range unservedSections() {
		for key := range strings.FieldsSeq(keys) {
			names = append(names, section+"."+key)
		}
	}
	slices.Sort(names)
	return names
})

// isUnserved reports whether ZLMediaKit has a key of that name which this version does not serve. Any
// ffmpeg.cmd... is one: operators name their templates themselves.
func isUnserved(name string) bool {
	_, found := slices.BinarySearch(unservedNames(), name)
	return found || strings.HasPrefix(name, "ffmpeg.cmd")
}

// Unserved returns the names of ZLMediaKit's keys that this version does not serve, sorted.
func Unserved() []string { return slices.Clone(unservedNames()) }
