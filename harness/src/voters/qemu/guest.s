# The guest: takes requests from shared memory, issues them as hypercalls, and puts the answers back. It does nothing else.
#
# 64-bit PowerPC, big-endian, real mode, interrupts off. Addresses and offsets are those of layout.rs. The words of this file
# stand in guest.rs, and tests/qemu_guest.rs assembles it again:
#
#     powerpc64-linux-gnu-as -mbig -mpower7 guest.s -o guest.o && powerpc64-linux-gnu-objdump -d guest.o
#
# r14 the monitor's page, r15 the buffer, r16 what turns one buffer into the other, r17 the number of the batch awaited, r18
# requests left, r19 the request, r20 its answer.

        .section .boot, "ax"            # entered at real 0x100, in 32-bit mode
        li      0,1
        rldicl  0,0,63,0                # MSR.SF
        mtmsrd  0
        isync
        lis     14,0x0f00               # MONITOR
        mtctr   14
        bctr

        .section .monitor, "ax"         # at MONITOR
        lis     15,0x0f40               # BUFFERS[0]
        lis     16,0x00c0               # BUFFERS[0] ^ BUFFERS[1]
        li      17,1
wait:   ld      18,0(15)                # DOORBELL
        cmpd    18,17
        bne     wait
        lwsync                          # the requests were written before the doorbell
        ld      18,8(15)                # COUNT
        addi    19,15,0x1000            # REQUESTS
        addis   20,15,8                 # ANSWERS
        cmpdi   18,0
        beq     done
each:   std     18,136(15)              # LEFT: whose request it was if the machine dies of it
        ld      3,0(19)
        ld      4,8(19)
        ld      5,16(19)
        ld      6,24(19)
        ld      7,32(19)
        ld      8,40(19)
        ld      9,48(19)
        ld      10,56(19)               # COPY
        cmpdi   10,0
        bne     copy
        sc      1
        std     3,0(20)
        std     4,8(20)
        ld      10,16(19)               # r5 to r9 are to come back as they went
        xor     10,10,5
        ld      11,24(19)
        xor     11,11,6
        or      10,10,11
        ld      11,32(19)
        xor     11,11,7
        or      10,10,11
        ld      11,40(19)
        xor     11,11,8
        or      10,10,11
        ld      11,48(19)
        xor     11,11,9
        or      10,10,11
        std     10,16(20)
next:   addi    19,19,64                # REQUEST_BYTES
        addi    20,20,24                # ANSWER_BYTES
        addic.  18,18,-1
        bne     each
done:   std     18,136(15)
        lwsync                          # the answers are written before the batch is done
        std     17,128(15)              # DONE
        addi    17,17,1
        xor     15,15,16
        b       wait
copy:   mtctr   6                       # r6 doublewords from r5 to r4
        addi    5,5,-8
        addi    4,4,-8
more:   ldu     10,8(5)
        stdu    10,8(4)
        bdnz    more
        b       next
