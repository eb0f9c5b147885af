package mpegps

// Stats are the counters of a [Demuxer] since it was made.
type Stats struct {
	Bytes    uint64 // handed to Write
	Skipped  uint64 // of these, outside of packs and packets: garbage, zeros between packets, what follows a gap until the next start code
	Packs    uint64 // pack headers
	Packets  uint64 // PES packets of streams that are taken in
	Private  uint64 // PES packets that are passed over: private streams, padding, more streams than MaxStreams
	Maps     uint64 // program stream maps
	BadMaps  uint64 // of these, with a CRC that is neither right nor zero (taken in all the same), or damaged (not taken in)
	Lengths  uint64 // PES packets whose PES_packet_length was found to be wrong
	Frames   uint64 // access units handed to Emit
	Damaged  uint64 // access units given up because bytes of them were missing or made no sense
	Oversize uint64 // access units given up because they were larger than MaxUnit
	Unknown  uint64 // units of streams whose codec is not known yet; dropped
}
