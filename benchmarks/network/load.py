import asyncio,sys,time,collections
T=float(sys.argv[1]); H=sys.argv[2]; P=int(sys.argv[3]); C=collections.Counter(); lat=[]
async def req(r,w,post):
    if post: w.write(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
    else: w.write(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await w.drain(); head=await r.readuntil(b'\r\n\r\n'); n=2
    for l in head.split(b'\r\n'):
        if l.lower().startswith(b'content-length'): n=int(l.split(b':')[1])
    b=await r.readexactly(n); return b.decode(), b'Connection: close' in head
async def worker(keep,post,end):
    r=w=None
    while time.time()<end:
        t=time.time()
        try:
            if w is None: r,w=await asyncio.wait_for(asyncio.open_connection(H,P),5)
            b,cl=await asyncio.wait_for(req(r,w,post),5); C[b]+=1; lat.append(time.time()-t)
            if not keep or cl: w.close(); w=None
        except Exception as e:
            C['FAIL '+type(e).__name__]+=1; print('%.2f keep=%d post=%d after %.2f: %r'%(time.time()-(end-T),keep,post,time.time()-t,e)); w=None
        await asyncio.sleep(0.001)
async def main():
    end=time.time()+T
    await asyncio.gather(*[worker(i%2,i%4>1,end) for i in range(int(sys.argv[4]) if len(sys.argv)>4 else 40)])
    lat.sort(); print(dict(C), 'n',len(lat), ('p50 %.1f p99 %.1f max %.1f ms'%(1e3*lat[len(lat)//2],1e3*lat[int(len(lat)*.99)],1e3*lat[-1])) if lat else '')
asyncio.run(main())
