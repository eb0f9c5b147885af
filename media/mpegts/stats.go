package mpegts

// Stats are the counters of a [Demuxer] since it was made.
type Stats struct {
	Bytes      uint64 // handed to Write
	Skipped    uint64 // of these, outside of packets: garbage, and what follows a gap until the next sync byte
	Packets    uint64 // transport stream packets
	Resyncs    uint64 // times the sync byte was not where it had to be
	Holes      uint64 // continuity counters that did not follow their predecessor, and packets that were marked as damaged
	Duplicates uint64 // packets that came twice; dropped
	Scrambled  uint64 // packets that are encrypted; dropped
	Unmapped   uint64 // packets with payload of streams that no map names, or of private data; dropped
	Maps       uint64 // program maps that differed from the one before
	BadTables  uint64 // tables with a wrong CRC, or damaged; not taken in
	Lengths    uint64 // PES packets whose PES_packet_length was found to be wrong
	Frames     uint64 // access units handed to Emit
	Damaged    uint64 // access units given up because bytes of them were missing or made no sense
	Oversize   uint64 // access units given up because they were larger than MaxUnit
}
