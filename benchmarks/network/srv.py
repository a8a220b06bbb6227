import asyncio,sys,signal
name=sys.argv[1]; draining=False; conns=set(); stop=None
async def h(r,w):
    conns.add(w)
    try:
        while True:
            line=await r.readline()
            if not line: break
            meth=line.split()[0]; n=0
            while True:
                l=await r.readline()
                if l in (b'\r\n',b''): break
                if l.lower().startswith(b'content-length:'): n=int(l.split(b':')[1])
            if n: await r.readexactly(n)
            if meth==b'POST': await asyncio.sleep(0.02)
            peer=w.get_extra_info('peername')[0]
            body=(name+' '+peer).encode()
            c=b'close' if draining else b'keep-alive'
            w.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n'%(len(body),c)+body); await w.drain()
            if draining: break
    except Exception as e: pass
    finally:
        conns.discard(w); w.close()
class Echo(asyncio.DatagramProtocol):
    def connection_made(self,t): self.t=t
    def datagram_received(self,d,a): self.t.sendto((name+' '+a[0]).encode(),a)
async def main():
    global draining
    await asyncio.get_running_loop().create_datagram_endpoint(Echo,local_addr=('0.0.0.0',5140))
    s=await asyncio.start_server(h,'0.0.0.0',int(sys.argv[2]) if len(sys.argv)>2 else 8080,backlog=1024)
    def drain():
        global draining; draining=True
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM,drain)
    while not (draining and not conns): await asyncio.sleep(0.1)
    await asyncio.sleep(0.5); s.close()
asyncio.run(main())
