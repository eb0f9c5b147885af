// Package actors is the map of berth's actor tree, and the few pieces that every actor shares: the actor system with its
// log bridge, the guard that every actor runs behind, the dispatcher, close reasons and the configuration hand-over.
//
// # Who spawns whom
//
//	supervisor                    lives as long as the process; owns listening sockets and the generation number
//	├─ store                      durable definitions and overrides (bbolt); also remembers the random API secret
//	├─ reload                     the configuration in force and the pending one; one reload at a time
//	├─ api                        HTTP front; answers 503 with Retry-After while the engine is rebuilt
//	└─ engine-<g>                 everything below is recreated by a full restart, and by nothing else
//	   ├─ portpool                the range, the ledger, the bound sockets
//	   ├─ hook                    outgoing web hooks: ask (with deadline) and notify (bounded queue)
//	   ├─ streams ─ stream        registry; one stream actor per published stream
//	   ├─ proxies ─ proxy         pulls, with back-off; one proxy actor per definition
//	   ├─ receivers ─ receiver    RTP that devices push (GB/T 28181); one actor per opened receiver, one for the shared port
//	   │              └─ device   one of many that share a port
//	   ├─ senders ─ sender        RTP that is pushed to others; one actor per sender
//	   └─ rtspd ─ session         RTSP server; one session actor per connection
//
// # Who sends what to whom
//
// Commands go down or sideways to a lower package, events go up or to the PID that a message named. Every message type is
// declared in the messages.go beside the actor that receives it (replies too).
//
//	actor      holds                      accepts                                                emits
//	supervisor generation, listeners      Restart, Shutdown, GetEngine                           EngineStarted, EngineStopped (log)
//	store      definitions                PutProxy, DeleteProxy, ListProxies, PutOverrides, ...  acknowledgements after fsync
//	reload     snapshot, pending changes  Reload, Override, GetConfig                            actors.ConfigChanged to every owner
//	portpool   ledger, bound sockets      LeasePair, ReleaseLease, GetPool, Audit                PairLeased, LeaseRefused to the owner; Alarm to the engine
//	streams    key -> stream PID          Publish, Subscribe, ListStreams, CloseStreams          Published, Subscribed, Refused
//	stream     hub, publisher, readers    Attach, AddReader, RemoveReader, OpenUDP, GetStream    Ended to publisher and readers
//	proxies    definition -> proxy PID    AddProxy, RemoveProxy, ListProxies                     ProxyAdded, ProxyRemoved
//	proxy      RTSP client, back-off      ports, published, dial results                         FirstResult to proxies
//	receivers  definition -> receiver     Open, Close, CloseStreams, Connect, List, GetTalk      Opened, Closed; PutReceiver, DeleteReceiver to store
//	receiver   lease, sockets, source     lease and publish replies, tracks, silence             Publish to streams; bound, finished to receivers; Talk
//	senders    definition -> sender       Start, Stop, List                                      Started, Stopped; PutSender, DeleteSender to store
//	sender     lease or connection        lease and subscribe replies, Talk                      AddReader to the stream; settled, over to senders
//	rtspd      accept loop, sessions      ListSessions, KickSessions                             -
//	session    connection, wire state     requests, lease and subscribe replies, Kick            -
//	hook       bounded queue              Ask, Notify                                            Answer to the asker
//
// # The packet path, for contrast
//
//	connection read loop or gb28181.Source -> hub.Writer -> ring of chunks -> fan-out worker -> viewer's socket
//
// No PID stands on it. Actors pass handles (*hub.Writer, *hub.Reader), hear about edges (first packet, silence, ended)
// and decide.
//
// # Start and stop order
//
// Start: store, reload, api, then the engine's children from top to bottom. Stop: rtspd, senders, receivers, proxies, streams, hook, portpool;
// each is awaited before the next is asked, so that every lease has come home before the pool ends.
//
// # Rules of failure
//
// A session's, stream's, proxy's, receiver's or sender's panic costs that one: its parent stops it and, for a proxy, receiver or sender, spawns
// it again after its back-off. A panic in portpool, streams, proxies, receivers, senders, rtspd or hook ends the generation: the supervisor does a
// full restart, because their state is the truth about what is held. A lease ends with the actor that holds it, however it ends.
package actors
