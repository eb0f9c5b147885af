package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// span reads a duration with its unit, such as 50ms, 3s or 1m30s: the form of berth's own keys.
func span(lo, hi time.Duration) codec[time.Duration] {
	bounds := fmt.Sprintf("%s to %s", shortDuration(lo), shortDuration(hi))
	return codec[time.Duration]{
		kind: "duration", bounds: bounds,
		parse: func(s string) (time.Duration, *flaw) {
			s = strings.TrimSpace(s)
			if s == "" {
				return 0, &flaw{"has no value", "write a number with its unit, such as 3s"}
			}
			d, err := time.ParseDuration(s)
			if err != nil {
				if _, bad := strconv.ParseFloat(s, 64); bad == nil && strings.Trim(s, "0123456789.-") == "" {
					return 0, &flaw{"has no unit", fmt.Sprintf("write %ss for seconds or %sms for milliseconds", s, s)}
				}
				return 0, &flaw{"is not a duration", "write a number with its unit, such as 500ms, 3s or 2m"}
			}
			if d < lo || d > hi {
				return 0, &flaw{"is out of bounds", "write a duration from " + bounds}
			}
			return d, nil
		},
		format: shortDuration,
	}
}

// shortDuration writes a duration without the zero parts that Duration.String leaves: 1m, not 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}

// seconds reads a decimal number of seconds, the form of ZLMediaKit's float keys, with millisecond precision.
func seconds(lo, hi float64) codec[time.Duration] {
	bounds := fmt.Sprintf("%s to %s", decimal(lo), decimal(hi))
	cure := "write a number of seconds from " + bounds
	return codec[time.Duration]{
		kind: "seconds", bounds: bounds, unit: "seconds", bare: true,
		parse: func(s string) (time.Duration, *flaw) {
			s = strings.TrimSpace(s)
			if s == "" {
				return 0, &flaw{"has no value", cure}
			}
			f, err := strconv.ParseFloat(s, 64)
			if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
				return 0, &flaw{"is not a number of seconds", cure}
			}
			if f < lo || f > hi {
				return 0, &flaw{"is out of bounds", cure}
			}
			return time.Duration(math.Round(f*1000)) * time.Millisecond, nil
		},
		format: func(d time.Duration) string { return decimal(float64(d.Milliseconds()) / 1000) },
	}
}

// decimal writes a number in its shortest form without an exponent.
func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
