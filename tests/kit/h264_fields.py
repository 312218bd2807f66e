"""A tiny field-coded H.264 stream, written bit by bit: no encoder at hand makes one."""

from __future__ import annotations


class _Bits:
    def __init__(self) -> None:
        self._text = ""

    def u(self, value: int, width: int) -> _Bits:
        self._text += f"{value:0{width}b}"
        return self

    def ue(self, *values: int) -> _Bits:
        """Exp-Golomb codes."""
        for value in values:
            code = f"{value + 1:b}"
            self._text += "0" * (len(code) - 1) + code
        return self

    def aligned(self) -> _Bits:
        self._text += "0" * (-len(self._text) % 8)
        return self

    def raw(self, data: bytes) -> _Bits:
        self._text += "".join(f"{byte:08b}" for byte in data)
        return self

    def nal(self, header: int) -> bytes:
        text = self._text + "1"
        text += "0" * (-len(text) % 8)
        payload = int(text, 2).to_bytes(len(text) // 8, "big")
        escaped = bytearray()
        for byte in payload:  # three bytes that look like a start code get a fourth
            if escaped[-2:] == b"\0\0" and byte <= 3:
                escaped.append(3)
            escaped.append(byte)
        return b"\0\0\0\1" + bytes([header]) + bytes(escaped)


def _parameter_sets() -> bytes:
    sps = _Bits().u(77, 8).u(0, 8).u(10, 8).ue(0, 0, 2, 1).u(0, 1).ue(0, 0)
    sps.u(0b0010, 4)  # fields, no adaptive macroblocks, 8x8 inference, no cropping
    sps.u(1, 1).u(0, 4).u(1, 1).u(1, 32).u(50, 32).u(1, 1).u(0, 3)  # 25 frames a second
    sps.u(0b11, 2).ue(0, 0, 10, 10, 0, 1)  # nothing is reordered
    pps = _Bits().ue(0, 0).u(0, 2).ue(0, 0, 0).u(0, 3).ue(0, 0, 0).u(0b100, 3)
    return sps.nal(0x67) + pps.nal(0x68)


def field_coded_frame(number: int) -> bytes:
    """Two fields of one macroblock each: 16 x 32 pixels; the first frame is the only keyframe."""
    fields = []
    for bottom in (0, 1):
        is_idr = number == 0 and not bottom
        slice_ = _Bits().ue(0, 7, 0).u(number % 16, 4).u(0b10 | bottom, 2)
        slice_ = slice_.ue(0).u(0, 2) if is_idr else slice_.u(0, 1)
        slice_.ue(0, 1, 25).aligned().raw(bytes([40 + 5 * number % 160]) * 256 + bytes([128]) * 128)
        fields.append(slice_.nal(0x65 if is_idr else 0x61))
    return (_parameter_sets() if number == 0 else b"") + b"".join(fields)
