package gb28181

import "time"

func (s *Source) restart(time.Time)         {}
func (s *Source) hole(time.Time)            {}
func (s *Source) carry(time.Time, *rtpView) {}
