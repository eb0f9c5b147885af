package mpegps

// Start codes beside those of PES packets (ISO/IEC 13818-1 table 2-39).
const (
	idEnd    = 0xb9 // MPEG_program_end_code
	idPack   = 0xba // pack_start_code
	idSystem = 0xbb // system_header_start_code
)

// firstCode is the least byte behind 00 00 01 that belongs to the program stream. No NAL unit of H.264 or H.265 begins with one so large: its first bit is 0.
const firstCode = idEnd
