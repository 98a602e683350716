"""Reads the shared memory of a running agent, in another language than its own: descriptor by SCM_RIGHTS, then mmap.

    python3 corerl_shm.py /run/corerl/SITE/AGENT.sock [--cycles N]

prints one JSON object with the runtime's counters, then N cycle records as they come, one object a line. The format is in
the documentation of the crate shm-layout; where everything lies is read from its layout.json. Standard library only.
"""
import array, fcntl, json, math, mmap, os, pathlib, socket, struct, sys, time

ABI = json.loads((pathlib.Path(__file__).parents[2] / "shm/layout/layout.json").read_text())
CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q", "f64": "d"}
F_GET_SEALS, SHRINK_GROW = 1034, 2 | 4

def unpack(memory, struct_name, offset):
    """The plain fields of a structure of the ABI, without arrays; None for what is no number."""
    fields = [(name, at, CODES.get(kind)) for name, (at, kind) in ABI["structs"][struct_name]["fields"].items()]
    values = {name: struct.unpack_from("<" + code, memory, offset + at)[0] for name, at, code in fields if code}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}

class Segment:
    def __init__(self, path, kind):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.connect(path)
            control.send(bytes([2, ABI["tables"]["SegmentKind"].index(kind)]))
            answer, rights, _, _ = control.recvmsg(4096, socket.CMSG_SPACE(4))
        if answer[:1] != b"\x02" or not rights:
            sys.exit(f"{path}: the runtime does not hand out its segment {kind}")
        (descriptor,) = array.array("i", rights[0][2])
        if fcntl.fcntl(descriptor, F_GET_SEALS) & SHRINK_GROW != SHRINK_GROW:
            sys.exit("the memory is not sealed: it could be taken away")
        self.memory = mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(descriptor)
        self.header = unpack(self.memory, "SegmentHeader", 0)
        checksum = 0xCBF29CE484222325
        for byte in self.memory[:120]:
            checksum = (checksum ^ byte) * 0x100000001B3 % 2**64
        found = (self.memory[:8].decode("latin1"), self.header["layout_version"], f"{self.header['layout_hash']:016x}")
        if found != (ABI["magic"], ABI["layout_version"], ABI["layout_hash"]) or checksum != self.header["checksum"]:
            sys.exit(f"the segment {kind} is not of this layout, or damaged: {found}")
        if ABI["tables"]["SegmentKind"][self.header["kind"]] != kind or self.header["length_bytes"] != len(self.memory):
            sys.exit(f"the segment {kind} is another one, or not all of it")
        self.dims = struct.unpack_from("<4I", self.memory, ABI["structs"]["SegmentHeader"]["fields"]["dims"][0])

    def word(self, index):
        return struct.unpack_from("<Q", self.memory, 8 * index)[0]

    def counters(self, table):
        return {name: self.word(ABI["data_word"] + code) for code, name in enumerate(ABI["tables"][table])}

    def records(self):
        """The newest record and all that follow, each with its number; None instead of those that were overwritten before."""
        slots, words = self.header["slots"], self.header["slot_words"]
        number = max(self.word(ABI["control_word"]) - 1, 0)
        while True:
            start = ABI["data_word"] + number % slots * (words + 1)
            if number >= self.word(ABI["control_word"]):
                time.sleep(0.001)
            elif self.word(start) == 2 * number + 2:
                record = self.memory[8 * start + 8 : 8 * (start + 1 + words)]
                if self.word(start) == 2 * number + 2:
                    yield number, record
                    number += 1
            else:
                number = max(number + 1, self.word(ABI["control_word"]) - slots * 3 // 4)
                yield number, None

def cycle(record, setpoints, tags):
    sizes = {name: ABI["structs"][name]["bytes"] for name in ("CycleHead", "SetpointPart", "TagPart")}
    behind = sizes["CycleHead"] + setpoints * sizes["SetpointPart"]
    return unpack(record, "CycleHead", 0) | {
        "setpoints": [unpack(record, "SetpointPart", sizes["CycleHead"] + i * sizes["SetpointPart"]) for i in range(setpoints)],
        "tags": [unpack(record, "TagPart", behind + i * sizes["TagPart"]) for i in range(tags)],
    }

if __name__ == "__main__":
    if len(sys.argv) not in (2, 4) or sys.argv[2:3] not in ([], ["--cycles"]):
        sys.exit(__doc__)
    print(json.dumps(Segment(sys.argv[1], "counters").counters("Counter")), flush=True)
    cycles = Segment(sys.argv[1], "cycles")
    for left, (sequence, record) in zip(range(int((sys.argv[3:] or [0])[0])), cycles.records()):
        print(json.dumps({"sequence": sequence} | (cycle(record, *cycles.dims[:2]) if record else {"lost": True})), flush=True)
