@0x98bc29e2470aa830;

# What travels between an enclave and a worker, inside TLS. A frame is
#
#   magic     4 bytes  "TLR1"
#   head      4 bytes  length of the head in bytes, a multiple of 8, little-endian
#   payload   8 bytes  length of the payload in bytes, little-endian
#   head      one Frame below, as Cap'n Proto's stream format (segment table, segments)
#   payload   the values of a tensor or panel as they lie in memory; not part of the message, so
#             that both ends move it between the socket and an aligned buffer without a copy
#
# Three connections make a link. The enclave opens all of them:
#   control   hello; if the worker demands it, evidence of the enclave; then beats both ways
#   up        hello both ways, then requests to the worker
#   down      hello both ways, then replies from the worker
#
# Compatibility: fields are added at the end and never change their meaning. A new kind of frame or a
# change of meaning is a new protocol version; both ends use the newest that both know.
#   1         everything but
#   2         evidence: a worker whose hello `attests` asks for it as soon as all three connections
#             are there, and again later; before it has said attested, any other frame ends the link

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("talaria::transport::wire");

struct Frame {
  id @0 :UInt64;                  # of the request; its reply carries the same. 0 where there is none
  union {
    nothing @1 :Void;             # what a head of zeros says; always refused
    hello @2 :Hello;              # first on each connection, both ways
    beat @3 :Beat;                # control
    maskedTensor @4 :Tensor;      # up; payload: the values
    hintRequest @5 :Run;          # up; rows of the hint
    weightRequest @6 :Run;        # up; panels of the weights
    product @7 :Tensor;           # down; payload: the values. Answers maskedTensor and hintRequest
    weightPanels @8 :Run;         # down; payload: the panels
    failure @9 :Failure;          # down; instead of an answer. control: instead of attested
    attestRequest @10 :AttestRequest;  # control, from the worker
    evidence @11 :Void;           # control; payload: the document. Answers attestRequest
    attested @12 :Attested;       # control, from the worker: now, or still, accepted
  }
}

enum Role {
  control @0;
  up @1;
  down @2;
}

struct Hello {
  role @0 :Role;
  session @1 :Data;               # 16 random bytes the enclave chose; bind the three connections
  identity @2 :Identity;          # on control; from the enclave: what it wants, from the worker: what it is
  refusal @3 :Failure;            # from the worker, if it does not accept; it closes after this frame
}

struct Failure {
  code @0 :Text;                  # name of an Errc, for people; empty: no failure
  message @1 :Text;               # one line for a log
}

struct Identity {
  protocolOldest @0 :UInt32;
  protocolNewest @1 :UInt32;
  name @2 :Text;
  software @3 :Text;
  parameters @4 :Text;
  modulus @5 :UInt64;
  dimension @6 :UInt32;
  weights @7 :Text;
  publicSeed @8 :Data;            # SHA-256 of the seed of A
  layers @9 :UInt32;
  device @10 :Text;
  weightBytes @11 :UInt64;
  matrices @12 :List(HeldMatrix);
  attests @13 :Bool;              # enclave: can give evidence of itself; worker: demands it
  roundedModulus @14 :UInt64;     # p of rounded words; 0 where the parameters do not round
}

struct HeldMatrix {
  matrix @0 :UInt32;
  inputs @1 :UInt64;
  columns @2 :UInt64;
  firstColumn @3 :UInt64;
  columnCount @4 :UInt64;
  digest @5 :Data;                # SHA-256 of the held part; empty: unknown to the sender
}

struct Beat {
  sent @0 :Int64;                 # the enclave's own clock in ns; the worker returns it untouched
  clock @1 :Int64;                # of the sender of this frame, ns since 1970
  answer @2 :Bool;                # from the worker
}

struct AttestRequest {
  nonce @0 :Data;                 # 32 random bytes
}

struct Attested {
  validFor @0 :UInt64;            # seconds; then the worker asks again
  sealKey @1 :Data;               # 32 bytes for the enclave's disk, of this image and model; empty: none
}

enum ProductKind {
  residues @0;
  switched @1;
  float32 @2;
  int8 @3;                        # int8 to the worker, int32 back; a worker without it refuses it
  rounded @4;                     # words modulo roundedModulus both ways; between ends that both have one
  roundedSwitched @5;             # the same to the worker, switched values back
}

struct Tensor {
  matrix @0 :UInt32;
  kind @1 :ProductKind;
  rows @2 :UInt64;
  columns @3 :UInt64;
  mark @4 :Mark;                  # up; absent unless the enclave traces
  timing @5 :Timing;              # down; absent from a worker that does not say
}

struct Mark {                     # ties products to a request, for the worker's own trace
  id @0 :UInt64;
  microBatch @1 :UInt64;
}

struct Timing {                   # ns since 1970 by the worker's clock; 0: unknown
  received @0 :Int64;
  started @1 :Int64;
  finished @2 :Int64;
  joinedRows @3 :UInt32;
}

struct Run {                      # of consecutive rows or panels
  matrix @0 :UInt32;
  first @1 :UInt32;
  count @2 :UInt32;
}
