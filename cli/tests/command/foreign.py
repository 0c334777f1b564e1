"""Reads a recording with nothing of shmflow: the records of MCAP by hand, the messages by google.protobuf and the schema in the file.

Usage: foreign.py FILE TOPIC; prints a line of JSON for each message, with what its type and fields are.
"""

import json
import struct
import sys

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError:
    print("left out")
    sys.exit()


def records(data):
    """Opcode and content of each record, those within chunks too."""
    at = 0
    while at + 9 <= len(data):
        code, length = struct.unpack_from("<BQ", data, at)
        content = data[at + 9 : at + 9 + length]
        at += 9 + length
        if code == 0x06:  # a chunk: times, sizes, checksum and compression, then its records
            _, _, _, _, named = struct.unpack_from("<QQQII", content)
            assert named == 0, "it is compressed"
            (size,) = struct.unpack_from("<Q", content, 32)
            yield from records(content[40 : 40 + size])
        yield code, content


def text(data, at):
    (length,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + length], at + 4 + length


def message_class(schema):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(schema["data"]).file:
        pool.Add(file)
    found = pool.FindMessageTypeByName(schema["name"])
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(found)
    return message_factory.MessageFactory(pool).GetPrototype(found)


def plain(value):
    """A field as JSON can have it: bytes in hexadecimal digits, a time in seconds."""
    if isinstance(value, bytes):
        return value.hex()
    return value.seconds + value.nanos / 1e9 if hasattr(value, "nanos") else value


def main():
    file, wanted = sys.argv[1:]
    with open(file, "rb") as recording:
        data = recording.read()
    magic = b"\x89MCAP0\r\n"
    assert data.startswith(magic) and data.endswith(magic), "it is no whole MCAP file"
    schemas, classes = {}, {}
    for code, content in records(data[len(magic) : -len(magic)]):
        if code == 0x03:
            (number,) = struct.unpack_from("<H", content)
            name, at = text(content, 2)
            encoding, at = text(content, at)
            assert encoding == b"protobuf", encoding
            schemas[number] = {"name": name.decode(), "data": text(content, at)[0]}
        elif code == 0x04:
            channel, schema = struct.unpack_from("<HH", content)
            topic, at = text(content, 4)
            assert text(content, at)[0] == b"protobuf"
            if topic.decode() == wanted:
                classes.setdefault(channel, (schemas[schema]["name"], message_class(schemas[schema])))
        elif code == 0x05:
            (channel,) = struct.unpack_from("<H", content)
            if channel in classes:
                name, of = classes[channel]
                message = of.FromString(content[22:])
                fields = {field.name: plain(value) for field, value in message.ListFields()}
                print(json.dumps({"type": name, **fields}))


if __name__ == "__main__":
    main()
