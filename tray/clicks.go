package tray

import "sync"

// forwardClicks sends as for each click, until end is called. Later clicks stay in the channel for the next receiver.
func forwardClicks(clicks <-chan struct{}, to chan<- click, as click) (end func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-done:
				return
			case _, ok := <-clicks:
				if !ok { // removed
					return
				}
			}
			select {
			case to <- as:
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-gone
	})
}
