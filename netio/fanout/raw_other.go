//go:build !linux

package fanout

import "errors"

// canWriteRaw is false where sockets are written by goroutines, through package net.
const canWriteRaw = false

func wouldBlock(error) bool { return false }

func writeVec(uintptr, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
