"""Texts in few bytes: zlib with a dictionary of what stands in nearly every journal. Pure.

A journal is two or three kilobytes in which the words repeat from call to call more than inside one
call, so the dictionary halves what zlib alone leaves. A packed text begins with the number of its
dictionary; a dictionary that was ever used must stay as it is, a better one gets the next number.
"""

import zlib

LEVEL = 6

_DICTIONARIES = {
    1: (
        # What is likeliest comes last: zlib spends the fewest bits on what is near.
        b'["call refused",0,{"disposition":"no_route","cause":1,"reason":"no route of account '
        b'has a prefix of "],["limit refused",["failed",["look_up",["listed",["asked",["doubted",'
        b'"skipped_full","skipped_down","capped_by","warn_percent","metric":"concurrent","subject":'
        b'"account:","value":,"enforce":true,"name":"account : concurrent","trunk":"","window":"",'
        b'["progressed",0,["reserved",["reserve",1],["release",0],true],false],'
        b'"account":"acme","callee":"33","caller":"49","prefix":"","route":" (all)",'
        b'"max_call_s":7200,"targets":[{"trunk":"carrier-a","endpoint":"PJSIP/@carrier-",'
        b'"callee":"","caller":"","ring_timeout_s":60,"skipped":""}],"steps":[["account","","found'
        b'",""],["caller","","found","\'+: international, with + in front"],["callee","","found","'
        b'as it is"],["blocklist","","passed over","no entry fits this call"],["prefix","","found",'
        b'"route  (all) is the route"],["target","carrier-b","found","priority 1, weight 100, drew '
        b'0.; dials PJSIP/ with caller "]]},null,""],["route chosen",17639000,17639000,{'
        b'[1,".1",1763900000000,[["entered",0,"1763900000.","PJSIP/-0000000","","","",false,false],'
        b'["done",["create_channel",".b1","PJSIP/",7260,""],false],["done",["create_bridge",".br"],'
        b'false],["done",["limit_channel","",7260],false],["done",["add_to_bridge",".br",["",".b1"]'
        b'],false],["done",["dial",".b1",60],false],["dialled",0,".b1"],["ringing",0,".b1"],'
        b'["answered",0,".b1"],["answered",0,""],["hangup",0,"",null,false],["left",0,""],'
        b'["destroyed",0,"",16,200],["hangup",0,".b1",32,true],["left",0,".b1"],["destroyed",0,'
        b'".b1",16,200,"lp=0;rxjitter=0.000;rxcount=;txjitter=0.000;txcount=;rlp=0;rtt=0.000000;'
        b'rxmes=92.;txmes=0.000000",""],["done",["hangup",".b1",16],false],["done",["destroy_bridge",".br"],false]]]'
    ),
}
_CURRENT = max(_DICTIONARIES)


def pack(text: bytes) -> bytes:
    """The text in fewer bytes."""
    packer = zlib.compressobj(LEVEL, wbits=-15, zdict=_DICTIONARIES[_CURRENT])
    return bytes([_CURRENT]) + packer.compress(text) + packer.flush()


def unpack(packed: bytes) -> bytes:
    """The text that `pack` took in. Raises ValueError when *packed* is none of its results."""
    try:
        unpacker = zlib.decompressobj(wbits=-15, zdict=_DICTIONARIES[packed[0]])
        return unpacker.decompress(packed[1:]) + unpacker.flush()
    except (zlib.error, LookupError) as error:
        raise ValueError(f"These {len(packed)} bytes are no packed text: {error}.") from error
