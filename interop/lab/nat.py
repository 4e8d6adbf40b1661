"""Address translators of every common kind, as nftables rules for a router with `wan` and `brl`.

mapping:    EIM one outside port for all destinations, ADM one per destination address, ADPM one per
            destination address and port (RFC 4787, section 4.1)
filtering:  EIF lets everybody in, ADF addresses that were sent to, APDF address and port (section 5)

nft 1.0.6 wants the closing brace of every block on a line of its own; `fwd` and `dup` are words of its own.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of router, and what the self-test must find behind it."""

    letter: str
    title: str
    mapping: str
    filtering: str
    # Whether a packet that nobody asked for makes the router choose another port later.
    remaps: bool = False
    # Between the ports of two mappings made one after the other; 0 for the same port, None for any.
    step: int | None = 0

    @property
    def is_easy(self) -> bool:
        """Whether what one server sees is where everybody reaches the host."""
        return self.mapping == "EIM"

    def meets(self, other: "Kind") -> bool:
        """Whether two hosts behind such routers can be got together without a relay.

        Not where both give out ports that nobody can guess and both look at the other's port:
        that would take some 250,000 packets.
        """
        if "blocked" in (self.mapping, other.mapping):
            return False
        if self.is_easy or other.is_easy or (self.filtering, other.filtering) != ("APDF", "APDF"):
            return True
        return bool(self.step and other.step)


KINDS = {kind.letter: kind for kind in [
    Kind("A", "full cone", "EIM", "EIF"),
    Kind("B", "address-restricted", "EIM", "ADF"),
    Kind("C", "port-restricted", "EIM", "APDF"),
    Kind("D", "Linux home router", "EIM", "APDF"),
    Kind("E", "open Linux gateway", "EIM", "APDF", remaps=True),
    Kind("F", "symmetric, random ports", "ADPM", "APDF", step=None),
    Kind("G", "symmetric, regular ports", "ADPM", "APDF", step=1),
    Kind("H", "address-dependent mapping", "ADM", "APDF", step=None),
    Kind("I", "UDP blocked", "blocked", "blocked"),
    Kind("J", "C behind a carrier's A", "EIM", "APDF"),
    Kind("K", "one to one", "EIM", "EIF"),
    Kind("L", "address-dependent", "ADM", "ADF", step=None),
]}

FULL_CONE = """
table ip nat {
  map fc {
    type inet_service : ipv4_addr . inet_service
    flags dynamic,timeout
    timeout 300s
    size 65535
  }
  chain pre {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "wan" meta l4proto udp dnat ip to udp dport map @fc
    HAIRPIN_PRE
  }
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" meta l4proto udp update @fc { udp sport timeout 300s : ip saddr . udp sport }
    oifname "wan" snat to WAN
    HAIRPIN_POST
  }
}
"""

# Without it the router itself takes note of packets that nobody asked for.
INPUT_DROP = """
table ip guard {
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "wan" ct state established,related accept
    iifname "wan" drop
  }
}
"""

FORWARD_DROP = """
table ip restrict {
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "wan" ct state established,related accept
    iifname "wan" drop
  }
}
"""

ADDRESS_RESTRICTED = """
table ip restrict {
  set seen {
    type ipv4_addr . inet_service . ipv4_addr
    flags dynamic,timeout
    timeout 120s
    size 65535
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    oifname "wan" meta l4proto udp update @seen { ip saddr . udp sport . ip daddr timeout 120s }
    iifname "wan" ct state established,related accept
    iifname "wan" meta l4proto udp ip daddr . udp dport . ip saddr @seen accept
    iifname "wan" drop
  }
}
"""

# The port for each host that is sent to, as H has it, open to all ports of that host.
ADDRESS_DEPENDENT = """
table ip nat {
  map open {
    type inet_service . ipv4_addr : ipv4_addr . inet_service
    flags dynamic,timeout
    timeout 120s
    size 65535
  }
  chain pre {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "wan" meta l4proto udp dnat ip to udp dport . ip saddr map @open
  }
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" meta l4proto udp snat to WAN : HASH
    oifname "wan" masquerade
  }
  chain note {
    type filter hook postrouting priority srcnat + 50; policy accept;
    NOTE
  }
}
"""

# After translation, so the outside port is known.
NOTE = (
    'oifname "wan" meta l4proto udp ct direction original update @open '
    "{ udp sport . ip daddr timeout 120s : ct original ip saddr . ct original proto-src }")

HASH = "jhash ip saddr . udp sport . ip daddr mod 20000 seed 0x1 offset 41000"

# A list, because a number that counts would become a port with its two bytes swapped.
REGULAR_PORTS = ", ".join(f"{number} : {41000 + number}" for number in range(4096))

# IPv6 is not translated, and lets in answers only.
FIREWALL6 = """
table ip6 guard {
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "wan" ct state established,related accept
    iifname "wan" drop
  }
}
"""

BLOCKED = """
table ip restrict {
  chain forward {
    type filter hook forward priority 0; policy accept;
    meta l4proto udp udp dport != 53 drop
  }
}
"""

ONE_TO_ONE = """
table ip nat {
  chain pre {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "wan" dnat to HOST
  }
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" snat to WAN
  }
}
"""


def _source_nat(action: str) -> str:
    # The empty prerouting chain makes the kernel translate replies for all of these.
    return f"""
table ip nat {{
  chain pre {{
    type nat hook prerouting priority dstnat; policy accept;
  }}
  chain post {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" {action}
  }}
}}
"""


def rules(letter: str, wan: str, host: str, hairpin: bool = False) -> str:
    """The rules of a kind. `host` is the machine behind a one-to-one translator.

    J is two routers: the inner one gets C and the outer one A.
    """
    cone = FULL_CONE.replace(
        "HAIRPIN_PRE",
        f"ip daddr {wan} meta l4proto udp dnat ip to udp dport map @fc" if hairpin else "",
    ).replace("HAIRPIN_POST", 'oifname "brl" ct status dnat snat to WAN' if hairpin else "")
    texts = {
        "A": cone + INPUT_DROP,
        "B": cone + INPUT_DROP + ADDRESS_RESTRICTED,
        "C": cone + INPUT_DROP + FORWARD_DROP,
        "D": _source_nat("masquerade") + INPUT_DROP + FORWARD_DROP,
        "E": _source_nat("masquerade"),
        "F": _source_nat("masquerade fully-random") + INPUT_DROP + FORWARD_DROP,
        "G": _source_nat(
            f"meta l4proto udp snat to WAN : numgen inc mod 4096 map {{ {REGULAR_PORTS} }}")
        + INPUT_DROP + FORWARD_DROP,
        "H": _source_nat("meta l4proto udp snat to WAN : HASH") + INPUT_DROP + FORWARD_DROP,
        "I": _source_nat("masquerade") + INPUT_DROP + BLOCKED,
        "K": ONE_TO_ONE,
        "L": ADDRESS_DEPENDENT + INPUT_DROP,
    }
    text = texts[letter].replace("NOTE", NOTE).replace("HASH", HASH)
    return text.replace("WAN", wan).replace("HOST", host)
