package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

func runServer(arguments []string) error {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:443", "where to listen")
	certs := certificateFlag(flags)
	www := flags.String("www", "/www", "the files")
	retry := flags.Bool("retry", false, "validate every address by Retry")
	flags.Parse(arguments)

	config, err := serverConfig(*certs)
	if err != nil {
		return err
	}
	config.NextProtos = []string{http09, http3.NextProtoH3}
	address, err := net.ResolveUDPAddr("udp", *listen)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp", address)
	if err != nil {
		return err
	}
	transport := &quic.Transport{Conn: socket}
	if *retry {
		transport.VerifySourceAddress = func(net.Addr) bool { return true }
	}
	listener, err := transport.Listen(config, quicConfig())
	if err != nil {
		return err
	}
	browser := &http3.Server{Handler: http.FileServer(http.Dir(*www))}
	fmt.Println("listening")
	for {
		connection, err := listener.Accept(context.Background())
		if err != nil {
			return err
		}
		if connection.ConnectionState().TLS.NegotiatedProtocol == http09 {
			go serveHTTP09(connection, *www)
		} else {
			go browser.ServeQUICConn(connection)
		}
	}
}

func serveHTTP09(connection quic.Connection, www string) {
	for {
		stream, err := connection.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go answer(stream, www)
	}
}

// answer sends the file that `GET /path` names, or resets the stream.
func answer(stream quic.Stream, www string) {
	line, err := bufio.NewReader(stream).ReadString('\n')
	name, isGet := strings.CutPrefix(strings.TrimSpace(line), "GET /")
	if err != nil || !isGet {
		stream.CancelWrite(1)
		return
	}
	file, err := os.Open(path.Join(www, path.Base(name)))
	if err != nil {
		stream.CancelWrite(2)
		return
	}
	defer file.Close()
	if _, err := io.Copy(stream, file); err == nil {
		stream.Close()
	}
}
