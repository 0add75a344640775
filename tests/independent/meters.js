// Two meters on one Modbus TCP port, served by Node.js alone: registers are literals, and nothing of Loopgauge is imported.
// Unit 1 is an Eastron SDM630 (function 4), unit 2 a TUF-2000M (function 3). What is not listed reads as 0.
// Prints its port, and ends when its standard input does.
'use strict';
const net = require('node:net');

const UNITS = {
  1: { function: 4, registers: {
    0: '4366 3334', // 230.2 V as Eastron's protocol document prints it
    2: '4365 cccd', 4: '4367 0000', // 229.8 V, 231 V
    6: '4291 5c29', 8: '4292 3852', 10: '4296 6148', // 72.68 A, 73.11 A, 75.19 A
    52: '473d 1800', // 48408 W
    62: '3f73 3333', // 0.95
    70: '4248 0000', // 50 Hz
    72: '45a2 d200', 74: '0000 0000', 342: '45a2 d200', // 5210.25 kWh, 0 kWh, 5210.25 kWh
  } },
  2: { function: 3, registers: {
    0: '806b 4212', // 36.62541 m3/h, low word first
    4: 'ced9 3fb7', // 1.436 m/s
    8: 'c880 0002 ced9 3eb7', // 182400 + 0.359 m3
    12: '0000 0000 0000 0000',
    71: '0000',
    91: '1255', // step of work 0x12, quality 0x55 = 85
    102: '1c20 0000', // 7200 s
  } },
};

function words(registers, address, count) {
  const out = Buffer.alloc(2 * count);
  for (const [first, hex] of Object.entries(registers)) {
    hex.split(' ').forEach((word, n) => {
      const at = Number(first) + n - address;
      if (at >= 0 && at < count) out.writeUInt16BE(parseInt(word, 16), 2 * at);
    });
  }
  return out;
}

function answer(unit, pdu) {
  const [code, address, count] = [pdu[0], pdu.readUInt16BE(1), pdu.readUInt16BE(3)];
  if (code !== unit.function) return Buffer.from([code | 0x80, 1]);
  if (count < 1 || count > 125) return Buffer.from([code | 0x80, 3]);
  return Buffer.concat([Buffer.from([code, 2 * count]), words(unit.registers, address, count)]);
}

const server = net.createServer((socket) => {
  let pending = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (piece) => {
    pending = Buffer.concat([pending, piece]);
    while (pending.length >= 12) { // MBAP header of 7 bytes and a read request of 5
      const frame = pending.subarray(0, 12);
      pending = pending.subarray(12);
      const unit = UNITS[frame[6]];
      if (!unit) continue; // nobody there: silence, as on a serial line
      const pdu = answer(unit, frame.subarray(7));
      const head = Buffer.from(frame.subarray(0, 7));
      head.writeUInt16BE(pdu.length + 1, 4);
      socket.write(Buffer.concat([head, pdu]));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit(0));
