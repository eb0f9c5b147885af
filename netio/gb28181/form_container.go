package gb28181

import "berth/media/hub"

type container struct{ maker }

func (*container) begin([]hub.TrackStart) {}

func (f *Form) chooseContainer() error { return ErrNoTrack }
