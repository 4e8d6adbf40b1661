/// The unit that systemd runs a relay by; scripts/qtun-relay.service is one.
struct ServiceUnit {
  /// Where `qtun` is.
  let program: String
  /// The relay's options.
  let configFile: String
  let isOfUser: Bool

  /// The file.
  var text: String {
    (isOfUser ? [unit, service, install] : [unit, service, confinement, install])
      .joined(separator: "\n\n") + "\n"
  }

  private var unit: String {
    """
    # Written by `qtun service install`; `qtun help relay` explains the options.
    [Unit]
    Description=qtun relay
    Wants=network-online.target
    After=network-online.target
    """
  }

  // Exit status 2 and 3 are wrong options and files: another start would find the same.
  private var service: String {
    let key = isOfUser ? "" : " --identity /var/lib/\(ServiceSettings.name)/relay"
    return """
      [Service]
      Type=exec
      ExecStart=\(program) relay --config \(configFile)\(key)
      ExecReload=/bin/kill -HUP $MAINPID
      KillMode=mixed
      TimeoutStopSec=60
      Restart=always
      RestartSec=1
      RestartPreventExitStatus=2 3
      LimitNOFILE=65536
      LimitCORE=0
      NoNewPrivileges=yes
      """
  }

  // SystemCallErrorNumber: raising the limit of descriptors is tried, and may fail.
  private var confinement: String {
    """
    # A user of its own, with one right: ports under 1024.
    DynamicUser=yes
    StateDirectory=\(ServiceSettings.name)
    StateDirectoryMode=0700
    UMask=0077
    AmbientCapabilities=CAP_NET_BIND_SERVICE
    CapabilityBoundingSet=CAP_NET_BIND_SERVICE
    ProtectSystem=strict
    ProtectHome=yes
    PrivateTmp=yes
    PrivateDevices=yes
    ProtectHostname=yes
    ProtectClock=yes
    ProtectKernelTunables=yes
    ProtectKernelModules=yes
    ProtectKernelLogs=yes
    ProtectControlGroups=yes
    ProtectProc=invisible
    ProcSubset=pid
    RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
    RestrictNamespaces=yes
    RestrictRealtime=yes
    RestrictSUIDSGID=yes
    LockPersonality=yes
    MemoryDenyWriteExecute=yes
    RemoveIPC=yes
    SystemCallArchitectures=native
    SystemCallFilter=@system-service
    SystemCallFilter=~@privileged @resources
    SystemCallErrorNumber=EPERM
    """
  }

  private var install: String {
    """
    [Install]
    WantedBy=\(isOfUser ? "default" : "multi-user").target
    """
  }

  /// The options that a new relay begins with: none that lets anybody in.
  static let configText = """
    # Options of `qtun relay`, one a line: the long name, then the value. `qtun help relay` lists them.
    # `systemctl reload` takes what has changed, all of it or nothing.

    # How others reach this machine:
    #name relay.example.org

    # Holders of tokens (`qtun token add`) may use the relay, and these identities:
    #allow /etc/qtun/allowed

    # Public ports for `qtun share --public`, to whom a token or the list above allows them:
    #ports 10000-10100

    # Metrics for Prometheus, /healthz and /readyz:
    #admin 127.0.0.1:9478

    # `qtun help limits` lists the limits:
    #limit rate=500mbit

    """
}
