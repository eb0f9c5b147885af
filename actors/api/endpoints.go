package api

import "slices"

// endpoint is one path of the API.
type endpoint struct {
	name      string   // as ZLMediaKit spells it; `/index/` stands for itself
	required  []string // arguments that must have a value
	engine    bool     // answered 503 while there is no engine
	sensitive bool     // the reply holds secrets and is never logged
	serve     func(*call) (object, error)
}

func (e endpoint) path() string {
	if e.name == indexPath {
		return e.name
	}
	return apiPrefix + e.name
}

// indexPath is ZLMediaKit's other path of getApiList.
const indexPath = "/index/"

// table lists every endpoint. docs/http-api.md has a row for each; a test compares them.
func (s *service) table() []endpoint {
	media := []string{"schema", "vhost", "app", "stream"}
	source := []string{"vhost", "app", "stream"}
	return []endpoint{
		{name: "addStreamProxy", required: []string{"vhost", "app", "stream", "url"}, engine: true, serve: s.addStreamProxy},
		{name: "delStreamProxy", required: []string{"key"}, engine: true, serve: s.delStreamProxy},
		{name: "listStreamProxy", engine: true, serve: s.listStreamProxy},
		{name: "getProxyInfo", required: []string{"key"}, engine: true, serve: s.getProxyInfo},

		{name: "getMediaList", engine: true, serve: s.getMediaList},
		{name: "isMediaOnline", required: media, engine: true, serve: s.isMediaOnline},
		{name: "getMediaInfo", required: media, engine: true, serve: s.getMediaInfo},
		{name: "getMediaPlayerList", required: media, engine: true, serve: s.getMediaPlayerList},
		{name: "close_stream", required: media, engine: true, serve: s.closeStream},
		{name: "close_streams", engine: true, serve: s.closeStreams},

		{name: "openRtpServer", required: []string{"port", "stream_id"}, engine: true, serve: s.openRtpServer},
		{name: "openRtpServerMultiplex", required: []string{"port", "stream_id"}, engine: true, serve: s.openRtpServerMultiplex},
		{name: "connectRtpServer", required: []string{"stream_id", "dst_url", "dst_port"}, engine: true, serve: s.connectRtpServer},
		{name: "closeRtpServer", required: []string{"stream_id"}, engine: true, serve: s.closeRtpServer},
		{name: "updateRtpServerSSRC", required: []string{"stream_id", "ssrc"}, engine: true, serve: s.updateRtpServerSSRC},
		{name: "listRtpServer", engine: true, serve: s.listRtpServer},
		{name: "getRtpInfo", required: []string{"stream_id"}, engine: true, serve: s.getRtpInfo},
		{name: "pauseRtpCheck", required: []string{"stream_id"}, engine: true, serve: s.pauseRtpCheck},
		{name: "resumeRtpCheck", required: []string{"stream_id"}, engine: true, serve: s.resumeRtpCheck},

		{name: "startSendRtp", required: append(slices.Clone(source), "ssrc", "dst_url", "dst_port", "is_udp"), engine: true, serve: s.startSendRtp},
		{name: "startSendRtpPassive", required: append(slices.Clone(source), "ssrc"), engine: true, serve: s.startSendRtpPassive},
		{name: "startSendRtpTalk", required: append(slices.Clone(source), "ssrc", "recv_stream_id"), engine: true, serve: s.startSendRtpTalk},
		{name: "stopSendRtp", required: source, engine: true, serve: s.stopSendRtp},
		{name: "listRtpSender", required: source, engine: true, serve: s.listRtpSender},

		{name: "getAllSession", engine: true, serve: s.getAllSession},
		{name: "kick_session", required: []string{"id"}, engine: true, serve: s.kickSession},
		{name: "kick_sessions", engine: true, serve: s.kickSessions},

		{name: "getServerConfig", sensitive: true, serve: s.getServerConfig},
		{name: "setServerConfig", serve: s.setServerConfig},
		{name: "reloadConfig", serve: s.reloadConfig},
		{name: "getConfigSources", serve: s.getConfigSources},
		{name: "getPendingConfig", serve: s.getPendingConfig},
		{name: "restartServer", serve: s.restartServer},
		{name: "getRestartState", serve: s.getRestartState},

		{name: "getPortPool", engine: true, serve: s.getPortPool},
		{name: "getStatistic", serve: s.getStatistic},
		{name: "getApiList", serve: s.getAPIList},
		{name: indexPath, serve: s.getAPIList},
		{name: "version", serve: s.version},
	}
}

// getAPIList answers the paths of the API, sorted.
func (s *service) getAPIList(*call) (object, error) {
	var paths []string
	for _, e := range s.endpoints {
		if e.name == indexPath {
			paths = append(paths, e.name)
		} else {
			paths = append(paths, "/index/api/"+e.name)
		}
	}
	slices.Sort(paths)
	return object{"data": paths}, nil
}
