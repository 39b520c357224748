// Command toy is a small stand-in for a Kubernetes component.
//
// It prints its arguments, calls work a hundred times a second, answers /healthz on
// 127.0.0.1 with the number of calls so far, and says "bye" when told to stop.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func work(n int, name string) string {
	label := name + "-" + strconv.Itoa(n)
	return label
}

func main() {
	port := flag.Int("port", 0, "port of /healthz")
	flag.Parse()
	fmt.Printf("arguments: %q\n", os.Args[1:])

	var calls atomic.Int64
	http.HandleFunc("/healthz", func(reply http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(reply, calls.Load())
	})
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	tick := time.NewTicker(10 * time.Millisecond)
	for n := 1; ; n++ {
		select {
		case <-stop:
			fmt.Println("bye")
			return
		case <-tick.C:
			work(n, "toy")
			calls.Store(int64(n))
		}
	}
}
