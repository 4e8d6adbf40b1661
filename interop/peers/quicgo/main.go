// A client and a server of quic-go that transfer files by HTTP/0.9 and HTTP/3, for the runner's cases.
//
//	quicgo server --listen ADDRESS:PORT --certs FOLDER --www FOLDER [--retry] [--ecn=false]
//	quicgo client --certs FOLDER --downloads FOLDER --alpn hq-interop [--each | --resume] URL...
//
// SSLKEYLOGFILE is honoured. Exit status: 0 when all files are there, 1 for a failure.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/quic-go/quic-go"
)

const http09 = "hq-interop"

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: quicgo client|server OPTION..."))
	}
	var err error
	switch role := os.Args[1]; role {
	case "client":
		err = runClient(os.Args[2:])
	case "server":
		err = runServer(os.Args[2:])
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "quicgo:", err)
	os.Exit(1)
}

// keyLog is where TLS secrets go, nil for nowhere.
func keyLog() (io.Writer, error) {
	name := os.Getenv("SSLKEYLOGFILE")
	if name == "" {
		return nil, nil
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// certificateFlag is the folder that the runner calls /certs.
func certificateFlag(flags *flag.FlagSet) *string {
	return flags.String("certs", "/certs", "folder with ca.pem, cert.pem and priv.key")
}

// serverConfig reads the server's certificate.
func serverConfig(certs string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(path.Join(certs, "cert.pem"), path.Join(certs, "priv.key"))
	if err != nil {
		return nil, err
	}
	log, err := keyLog()
	return &tls.Config{Certificates: []tls.Certificate{pair}, KeyLogWriter: log}, err
}

// quicConfig has the runner's limit of 1000 streams, and patience: it loses a third of all packets, or
// the first six of a client. A client that only receives shows now and then where it is, for a NAT may
// have given it another address.
func quicConfig() *quic.Config {
	return &quic.Config{
		MaxIncomingStreams: 1000, HandshakeIdleTimeout: 60 * time.Second,
		KeepAlivePeriod: time.Second,
	}
}
